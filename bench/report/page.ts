/** The report as one page that needs nothing else: no network, and a script only to choose a timeline. */
import { type BenchResult, type Cell, FIGURES } from "../../src/bench/mod.ts";
import { barsOf } from "./bars.ts";
import { type Look, looks } from "./colours.ts";
import { curvesOf } from "./curves.ts";
import { engineTable } from "./engines.ts";
import { factsOf, warningsOf } from "./head.ts";
import { Html, html } from "./html.ts";
import { overviewOf } from "./overview.ts";
import { pagingTable, postcopySections } from "./postcopy.ts";
import { paperTable, RATIO_FIGURES, RATIO_RULE, ratioTable } from "./ratios.ts";
import { SCRIPT } from "./script.ts";
import { type Claim, claimOf, RULE, type Standing, standings } from "./standing.ts";
import { STYLE } from "./style.ts";
import { CLAIMED, claimTable, clientTable, floorText, kindOf, systemTable, type Table } from "./tables.ts";
import { timelinesOf } from "./timeline.ts";
import { linkText, plain } from "./units.ts";

const READERS: ReadonlySet<string> = new Set(["read", "scan"]);
const BARS = ["totalTimeMs", "downtimeMs", "blackoutMs", "wireBytes", "cpuMs", "longestStallMs"] as const;

/** The whole HTML text. */
export function pageOf(result: BenchResult): string {
  const look = looks(result.systems);
  const measured = result.cells
    .map((cell) => ({ cell, all: standings(result, cell.name) }))
    .filter(({ all }) => all.length > 0);
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Godwit bench, ${result.startedAt.slice(0, 10)}, ${result.commit.slice(0, 10)}</title>
<style>${new Html(STYLE)}</style></head><body><main>
<h1>Godwit beside stock QEMU</h1>
${warningsOf(result).map((text) => html`<p class="banner">${text}</p>`)}
<dl>${factsOf(result).map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>`)}</dl>
<nav>${measured.length === 0 ? null : html`<a href="#overview">Overview</a>`}${measured
    .filter(({ cell }) => cell.factor === null)
    .map(
      ({ cell }) => html`<a href="#cell-${cell.name}">${cell.name}</a>`,
    )}<a href="#curves">Curves</a><a href="#timeline">Timeline</a><a href="#skipped">Skipped and failed</a></nav>
${overview(measured)}
${ratios(result)}
${postcopySections(result).map(({ title, table, note }) => html`<section class="postcopy"><h2>${title}</h2>${tableHtml(table, "postcopy")}<p class="small">${note}</p></section>`)}
${measured.filter(({ cell }) => cell.factor === null).map(({ cell, all }) => cellSection(cell, all, look))}
${curves(result, look)}
${measured.filter(({ cell }) => cell.factor !== null).map(({ cell, all }) => cellSection(cell, all, look))}
${timelines(result)}
${skipped(result)}
</main><script>${new Html(SCRIPT)}</script></body></html>
`;
  return page.text;
}

interface Measured {
  readonly cell: Cell;
  readonly all: readonly Standing[];
}

function overview(measured: readonly Measured[]): Html {
  if (measured.length === 0) return html`<p class="banner">Nothing was measured.</p>`;
  const alone = measured.filter(({ cell }) => cell.factor === null);
  const panels = CLAIMED.flatMap(
    (figure) =>
      overviewOf(
        (alone.length > 0 ? alone : measured).map(({ cell, all }) => ({ cell, claim: claimOf(all, figure) })),
        figure,
      ) ?? [],
  );
  return html`<section id="overview"><h2>Overview: best Godwit by best stock</h2>
<p>Left of 1 Godwit takes less. A hollow dot is within the noise or rests on too few samples; lines reach from the best to the worst ratio of any two samples.</p>
<p class="legend"><span><i style="background:var(--godwit-0)"></i>Godwit is better</span><span><i style="background:var(--stock-0)"></i>stock is better</span><span><i style="background:var(--noise)"></i>no claim</span></p>
<div class="grid">${panels}</div>
<p class="small">${RULE}</p>
<h3>Every cell: Godwit / stock, below 1 Godwit takes less</h3>${scoreHtml(measured)}</section>`;
}

/** All ratios at one glance; those with no claim are faint. */
function scoreHtml(measured: readonly Measured[]): Html {
  return html`<div class="scroll"><table class="score"><thead><tr><th>cell</th>${CLAIMED.map(
    (figure) => html`<th>${FIGURES[figure].label}</th>`,
  )}</tr></thead><tbody>${measured.map(
    ({ cell, all }) =>
      html`<tr><td><a href="#cell-${cell.name}">${cell.name}</a></td>${CLAIMED.map((figure) => {
        const claim = claimOf(all, figure);
        return html`<td class="${kindOf(claim.winner)}">${scoreText(claim)}</td>`;
      })}</tr>\n`,
  )}</tbody></table></div>`;
}

function scoreText({ ratio, winner }: Claim): string {
  if (winner === "only godwit" || winner === "only stock") return winner;
  if (ratio === null) return "–";
  const text = ratio.median.toFixed(2);
  return winner === "godwit"
    ? `${text}, Godwit`
    : winner === "stock"
      ? `${text}, stock`
      : `${text}, ${winner}`;
}

function ratios(result: BenchResult): Html | null {
  const tables = RATIO_FIGURES.flatMap((figure) => {
    const table = ratioTable(result, figure);
    return table === null ? [] : [html`<h3>${FIGURES[figure].label}</h3>${tableHtml(table, "ratios")}`];
  });
  const papers = paperTable(result);
  if (tables.length === 0 && papers === null) return null;
  return html`<section id="ratios">${tables.length === 0 ? null : html`<h2>Against the best stock mode</h2>${tables}<p class="small">${RATIO_RULE}</p>`}
${papers === null ? null : html`<h2>What papers claim</h2>${tableHtml(papers, "papers")}`}</section>`;
}

function cellSection(cell: Cell, all: readonly Standing[], look: ReadonlyMap<string, Look>): Html {
  const { workload, memoryMib, cpus, guests } = cell;
  const work = `${guests > 1 ? `${guests} guests of ` : ""}${memoryMib} MiB, ${cpus} vCPU; load ${cell.load}; the oracle ${READERS.has(workload.mode) ? "reads" : "writes"} ${workload.pagesPerSec} pages/s (${workload.mode}) over ${workload.setMib} MiB; link ${linkText(cell.link)}; time limit ${plain(cell.timeLimitMs / 1000)} s`;
  const panels = BARS.flatMap((figure) => barsOf(cell.name, all, figure, look) ?? []);
  const client = clientTable(cell, all);
  const engines = engineTable(all);
  const paging = pagingTable(cell, all);
  const unit = all.flatMap(({ samples }) => samples).find(({ ledger }) => ledger.client !== null)?.ledger
    .client?.unit;
  return html`<section class="cell" id="cell-${cell.name}" data-cell="${cell.name}"><h2>${cell.name}</h2>
<p>${cell.about}</p><p class="small">${work}.</p>
<div class="grid bars">${panels}</div>
${tableHtml(claimTable(CLAIMED.map((figure) => claimOf(all, figure))), "claims")}
<h3>All systems: median (least – most)</h3>${tableHtml(systemTable(all, cell.floor), "systems")}
${cell.floor === undefined ? null : html`<p class="small">${floorText(cell.floor)}</p>`}
${engines === null ? null : html`<h3>Page engine: medians</h3>${tableHtml(engines, "engines")}`}
${paging === null ? null : html`<h3>Post-copy: medians</h3>${tableHtml(paging, "paging")}`}
${client === null ? null : html`<h3>What the client saw (${unit ?? ""}); medians, losses summed over all moves</h3>${tableHtml(client, "client")}`}
</section>`;
}

function tableHtml({ head, rows }: Table, name: string): Html {
  return html`<div class="scroll"><table class="${name}"><thead><tr>${head.map((text) => html`<th>${text}</th>`)}</tr></thead>
<tbody>${rows.map(
    ({ kind, cells }) => html`<tr class="${kind}">${cells.map((text) => html`<td>${text}</td>`)}</tr>\n`,
  )}</tbody></table></div>`;
}

const CURVE_TITLES = {
  dirtyRate: "How fast the guest writes",
  linkRate: "How fast the link is",
  ram: "How large the guest is",
  guests: "How many guests move at once",
} as const;

function curves(result: BenchResult, look: ReadonlyMap<string, Look>): Html {
  const found = curvesOf(result, look);
  if (found.length === 0)
    return html`<section id="curves"><h2>Curves</h2><p>No factor was measured at two points or more.</p></section>`;
  return html`<section id="curves"><h2>Curves: one factor at a time</h2>
<p>Each sample is a symbol, the line runs through the medians. Crosses above a plot are moves that failed there.</p>
${found.map(
  ({
    factor,
    panels,
    note,
    systems,
  }) => html`<div class="curve" data-factor="${factor}"><h3>${CURVE_TITLES[factor]}</h3>
<p class="legend">${systems.map((name) => html`<span><i style="background:${look.get(name)!.colour}"></i>${name} (${look.get(name)!.symbol})</span>`)}</p>
<div class="grid">${panels}</div>${note === null ? null : html`<p class="small">${note}</p>`}</div>`,
)}</section>`;
}

function timelines(result: BenchResult): Html {
  const found = timelinesOf(result);
  if (found.length === 0)
    return html`<section id="timeline"><h2>Timeline of one move</h2><p>No move has a timeline.</p></section>`;
  const first = found.find(({ system }) => system.family === "godwit") ?? found[0]!;
  const options = (names: readonly string[], chosen: string) =>
    [...new Set(names)].map(
      (name) => html`<option${new Html(name === chosen ? " selected" : "")}>${name}</option>`,
    );
  const cells = options(
    found.map(({ cell }) => cell),
    first.cell,
  );
  const systems = options(
    found.map(({ system }) => system.name),
    first.system.name,
  );
  return html`<section id="timeline"><h2>Timeline of one move</h2>
<label>Cell <select id="timeline-cell">${cells}</select></label><label>System <select id="timeline-system">${systems}</select></label>
<p class="legend"><span><i style="background:var(--wire)"></i>on the wire, remaining, passes</span><span><i style="background:var(--dirty)"></i>written by the guest, as whole pages (QEMU's own figure, at the end of each pass)</span><span><i class="dashed" style="color:var(--text)"></i>the link's rate</span><span><i class="dashed" style="color:var(--switchover)"></i>switchover or post-copy begins</span></p>
${found.map(
  (one) =>
    html`<div data-timeline data-cell="${one.cell}" data-system="${one.system.name}"${new Html(one === first ? "" : " hidden")}>${one.content}</div>\n`,
)}</section>`;
}

function skipped(result: BenchResult): Html {
  const failed = result.samples.filter(({ outcome }) => outcome === "failed");
  return html`<section id="skipped"><h2>Skipped and failed</h2>
${result.skipped.length === 0 ? html`<p>Nothing was skipped.</p>` : html`<ul>${result.skipped.map(({ system, cell, reason }) => html`<li><b>${system}</b> ${cell === null ? "in all cells" : `in ${cell}`}: ${reason}</li>`)}</ul>`}
${failed.length === 0 ? html`<p>No move failed.</p>` : html`<ul class="failures">${failed.map(({ system, cell, repeat, error }) => html`<li><span class="failed">failed</span> <b>${system}</b> in ${cell}, repeat ${repeat + 1}: ${error ?? "no reason was recorded"}</li>`)}</ul>`}
<p class="small">Figures: ${Object.values(FIGURES)
    .map(({ label }) => label)
    .join(", ")}; docs/bench.md says how each is measured.</p></section>`;
}
