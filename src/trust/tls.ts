/** TLS by the files of one folder, and the judgement of who is at the other end. docs/adr/0009-trust.md. */
import { constants, X509Certificate } from "node:crypto";
import type { Socket, TcpNetConnectOpts } from "node:net";
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  createServer,
  type Server,
  type TLSSocket,
  type TlsOptions,
} from "node:tls";
import { GodwitError, isGodwitError } from "../errors/mod.ts";
import type { Expected } from "./expected.ts";
import { folderStamp, type Papers, readFolder } from "./folder.ts";
import { describeIdentity, type Identity, identityOf } from "./identity.ts";
import type { OnRefused } from "./refused.ts";

/** What OpenSSL calls a certificate out of its time. */
const OUT_OF_TIME: ReadonlySet<string> = new Set(["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"]);
/** And one that it does not trust for another reason (Node's documentation, "X509 certificate error codes"). */
const UNTRUSTED =
  /^(UNABLE_TO_|CERT_|CRL_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_|PATH_LENGTH_|HOSTNAME_MISMATCH|ERROR_IN_CERT)/;

/** With TLS 1.3 only, and without sessions that are resumed: each handshake shows a certificate and is judged anew. */
const PROTOCOL = { minVersion: "TLSv1.3", secureOptions: constants.SSL_OP_NO_TICKET } as const;

/** The files are looked at again at each use, and read again when they have changed. */
export class Tls {
  readonly folder: string;
  readonly #warn: (error: GodwitError) => void;
  #stamp: string;
  #papers: Papers;
  #context: ReturnType<typeof createSecureContext> | undefined;

  /** @throws as `openTls` */
  constructor(folder: string, warn: (error: GodwitError) => void) {
    this.folder = folder;
    this.#warn = warn;
    this.#stamp = folderStamp(folder);
    this.#papers = readFolder(folder);
    const { certificate } = this.#papers;
    const problem = outOfTime(certificate);
    if (problem !== null)
      throw new GodwitError("TLS_FOLDER", { path: folder, problem: `cert.pem ${problem}` });
    // A key that OpenSSL refuses shall be known now, not at the first peer.
    this.#secureContext(this.#papers);
  }

  /** Who we are. */
  get identity(): Identity {
    return this.#fresh().identity;
  }

  /** Until when our certificate holds. */
  get validTo(): Date {
    return this.#fresh().certificate.validToDate;
  }

  /**
   * For `https.createServer`, fastify's `https` and `tls.createServer`. Whoever shows no certificate, or a wrong one, is not cut
   * off in the handshake, where nobody would be told why: `authorise` must be asked before the first byte of a connection is
   * believed.
   */
  serverOptions(): TlsOptions {
    const { ca, cert, key } = this.#fresh();
    return { ...PROTOCOL, ca, cert, key, requestCert: true, rejectUnauthorized: false };
  }

  /** From now on a server made with `serverOptions` uses changed files for each connection that comes. */
  keepFresh(server: Server): void {
    let used = this.#papers;
    // Before the server's own listener, which begins the handshake.
    server.prependListener("connection", () => {
      const papers = this.#fresh();
      if (papers === used) return;
      used = papers;
      const { ca, cert, key } = papers;
      server.setSecureContext({ ...PROTOCOL, ca, cert, key });
    });
  }

  /**
   * For `tls.connect` and `https.request`, once: the next connection asks again. The server is judged before anything is sent;
   * `explain` makes what the socket's 'error' then says an error for people.
   * @param address  of the server, for the error
   */
  clientOptions(expected: Expected, address: string): ConnectionOptions {
    return {
      ...PROTOCOL,
      secureContext: this.#secureContext(this.#fresh()),
      rejectUnauthorized: true,
      // Names are the certificates' own, not those of hosts' addresses.
      checkServerIdentity: (_host, { raw }) => {
        try {
          this.#judge(new X509Certificate(raw), expected, address);
          return undefined;
        } catch (error) {
          return error as Error;
        }
      },
    };
  }

  /**
   * Connects; 'secureConnect' comes once the server has been judged, and nothing was sent before.
   * @param options  of `net.connect`, `onread` included
   */
  connect(options: TcpNetConnectOpts, expected: Expected, address: string): TLSSocket {
    return connect({ ...options, ...this.clientOptions(expected, address) } as ConnectionOptions);
  }

  /**
   * Makes the server's half of the handshake on connections that another server has accepted. Nobody is authorised yet when it
   * is done.
   * @param failed  a handshake that came to nothing; its socket closes by itself
   * @returns what an accepted connection is given to
   */
  acceptor(
    done: (socket: TLSSocket) => void,
    failed: (error: Error, socket: TLSSocket) => void,
  ): (accepted: Socket) => void {
    const server = createServer(this.serverOptions());
    this.keepFresh(server);
    server.on("secureConnection", done).on("tlsClientError", failed);
    // Documented: a server that does not listen takes connections by this event.
    return (accepted) => void server.emit("connection", accepted);
  }

  /**
   * Who is at the other end of an established connection, client's or server's, when it may be there.
   * @throws GodwitError TLS_NO_CERTIFICATE, TLS_UNTRUSTED, TLS_EXPIRED, TLS_NOT_AUTHORISED, TLS_NAME
   */
  authorise(socket: TLSSocket, expected: Expected): Identity {
    const address = addressOf(socket);
    const certificate = socket.getPeerX509Certificate();
    const by = this.identity.name;
    if (certificate === undefined) throw new GodwitError("TLS_NO_CERTIFICATE", { by, address });
    if (!socket.authorized || socket.isSessionReused())
      throw this.#distrust(String(socket.authorizationError ?? "RESUMED"), address, certificate);
    return this.#judge(certificate, expected, address);
  }

  /** The same; who is refused is told to `onRefused` as well. @throws as `authorise` */
  admit(socket: TLSSocket, expected: Expected, what: string, onRefused: OnRefused): Identity {
    try {
      return this.authorise(socket, expected);
    } catch (error) {
      if (isGodwitError(error))
        onRefused({ what, identity: believed(socket), address: addressOf(socket), error: error.toJSON() });
      throw error;
    }
  }

  /** Why a client's connection failed, when TLS was the reason; undefined for other reasons, such as a network's. */
  explain(error: Error & { code?: string }, address: string): GodwitError | undefined {
    if (isGodwitError(error)) return error;
    const { code = "" } = error;
    if (OUT_OF_TIME.has(code) || UNTRUSTED.test(code)) return this.#distrust(code, address, undefined, error);
    if (!/^(ERR_SSL_|ERR_TLS_|EPROTO)/.test(code)) return undefined;
    const reason = (error as { reason?: string }).reason ?? error.message;
    return new GodwitError("TLS_FAILED", { address, reason }, { cause: error });
  }

  #judge(certificate: X509Certificate, expected: Expected, address: string): Identity {
    const { identity: self, peers } = this.#fresh();
    const by = self.name;
    const identity = identityOf(certificate);
    const who = identity === null ? "a certificate without a name" : describeIdentity(identity);
    const refuse = (reason: string) => new GodwitError("TLS_NOT_AUTHORISED", { by, address, who, reason });
    const late = outOfTime(certificate); // of a connection that has been there for long
    if (late !== null) throw new GodwitError("TLS_EXPIRED", { by, address, who, reason: `it ${late}` });
    if (identity === null) throw refuse("it has no URI such as godwit:host:NAME, or several");
    const { kinds, name } = expected;
    if (!kinds.includes(identity.kind)) throw refuse(`it must be of the kind ${kinds.join(" or ")}`);
    if (identity.kind === "host" && peers !== null && !peers.has(identity.name))
      throw refuse("its name is not in peers");
    if (name !== undefined && identity.name !== name)
      throw new GodwitError("TLS_NAME", { by, address, who, expected: `${kinds.join(" or ")} ${name}` });
    return identity;
  }

  #distrust(code: string, address: string, certificate?: X509Certificate, cause?: unknown): GodwitError {
    const by = this.identity.name;
    const identity = certificate === undefined ? null : identityOf(certificate);
    const who = identity === null ? "who it is cannot be said" : `it says ${describeIdentity(identity)}`;
    const late = certificate === undefined ? null : outOfTime(certificate);
    if (OUT_OF_TIME.has(code))
      return new GodwitError("TLS_EXPIRED", { by, address, who, reason: late ?? code }, { cause });
    return new GodwitError("TLS_UNTRUSTED", { by, address, who, reason: code }, { cause });
  }

  #fresh(): Papers {
    const stamp = folderStamp(this.folder);
    if (stamp === this.#stamp) return this.#papers;
    this.#stamp = stamp;
    try {
      const papers = readFolder(this.folder);
      this.#context = undefined;
      this.#secureContext(papers);
      this.#papers = papers;
    } catch (error) {
      // Half of a rotation, most often: files are replaced one after the other.
      const { message } = error as Error;
      const said = isGodwitError(error)
        ? error
        : new GodwitError("TLS_FOLDER", { path: this.folder, problem: message }, { cause: error });
      this.#warn(said);
    }
    return this.#papers;
  }

  #secureContext({ ca, cert, key }: Papers): ReturnType<typeof createSecureContext> {
    this.#context ??= createSecureContext({ ...PROTOCOL, ca, cert, key });
    return this.#context;
  }
}

/** Who somebody is whose certificate is signed and in its time, authorised or not. */
function believed(socket: TLSSocket): Identity | null {
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  return certificate === undefined ? null : identityOf(certificate);
}

function addressOf(socket: TLSSocket): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}

/** In words; null while it holds. */
function outOfTime({ validFromDate, validToDate }: X509Certificate): string | null {
  const now = Date.now();
  if (now < validFromDate.getTime()) return `holds from ${validFromDate.toISOString()} on`;
  return now > validToDate.getTime() ? `held until ${validToDate.toISOString()}` : null;
}
