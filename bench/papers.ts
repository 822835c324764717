/** What papers claim for their systems, as data: whose baseline, which figure, which ratio, and in which cells we ask. */
import type { Ledger } from "../src/bench/mod.ts";

export interface PaperFigure {
  readonly name: string;
  readonly of: (ledger: Ledger) => number | null;
}

const TIME: PaperFigure = { name: "migrate time", of: (l) => l.migrateTimeMs };
const DOWNTIME: PaperFigure = { name: "downtime", of: (l) => l.downtimeMs };
const BYTES: PaperFigure = { name: "bytes", of: (l) => l.wireBytes.forward };
/** Zero pages cost next to nothing with either, and there are as many in both. */
const PAGES: PaperFigure = {
  name: "pages sent, zero pages aside",
  of: ({ pages }) => (pages === null ? null : pages.sent - pages.zero),
};

export interface PaperClaim {
  readonly paper: string;
  readonly system: string;
  readonly baseline: string;
  /** Those of them that a result has: the claim is about their mean. */
  readonly cells: readonly string[];
  readonly figure: PaperFigure;
  /** The system's figure by the baseline's, at most. */
  readonly ratio: number;
}

const MECOM = {
  paper: "[12] MECOM, Jin et al. 2009",
  system: "godwit-mecom",
  baseline: "stock-nozero",
  cells: ["paper-mixed", "paper-light", "idle", "text", "words"],
};
const SVARD = {
  paper: "[13] Svard et al. 2011",
  system: "godwit-xbrle",
  baseline: "stock",
  cells: ["paper-hot", "words"],
};
const REUSE = {
  paper: "[20] reuse distance, Alamdari and Zamanifar 2012",
  system: "godwit-reuse",
  baseline: "stock",
};

export const PAPER_CLAIMS: readonly PaperClaim[] = [
  { ...MECOM, figure: BYTES, ratio: 0.312 },
  { ...MECOM, figure: TIME, ratio: 0.68 },
  { ...MECOM, figure: DOWNTIME, ratio: 0.729 },
  { ...SVARD, figure: DOWNTIME, ratio: 0.1 },
  { ...SVARD, figure: TIME, ratio: 0.65 },
  { ...SVARD, figure: BYTES, ratio: 0.74 },
  { ...REUSE, cells: ["paper-hot"], figure: PAGES, ratio: 0.32 },
  { ...REUSE, cells: ["paper-light"], figure: PAGES, ratio: 1 },
];
