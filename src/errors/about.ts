/** What is known of one kind of failure; F is its data. */
export interface AboutError<F> {
  readonly http: number;
  readonly exit: number;
  readonly retry: boolean;
  readonly say: (f: F) => string;
  readonly wayOut: string;
}
