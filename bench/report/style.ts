import { PALETTE } from "./colours.ts";

function variables(scheme: "light" | "dark"): string {
  return (["stock", "godwit"] as const)
    .flatMap((family) => PALETTE[scheme][family].map((colour, i) => `--${family}-${i}:${colour};`))
    .join("");
}

const LIGHT = `--page:#ffffff;--text:#1c1917;--faint:#6b6560;--line:#d9d5d0;--soft:#f5f4f2;--failed:#b91c1c;--noise:#8a837c;--warn:#fef3c7;--dirty:#c2410c;--wire:#2563eb;--switchover:#7c3aed;${variables("light")}`;
const DARK = `--page:#16181c;--text:#e7e5e4;--faint:#a8a29e;--line:#3f4349;--soft:#1f2227;--failed:#f87171;--noise:#8b8f96;--warn:#3b2f0b;--dirty:#fb923c;--wire:#60a5fa;--switchover:#a78bfa;${variables("dark")}`;

/** The page's whole style sheet: light and dark as the reader's system is, readable on a phone and on paper. */
export const STYLE = `
:root{color-scheme:light dark;${LIGHT}}
@media (prefers-color-scheme:dark){:root{${DARK}}}
@media print{:root{${LIGHT}}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,"DejaVu Sans",sans-serif}
main{max-width:1240px;margin:0 auto;padding:20px 16px 60px}
h1{font-size:26px;margin:0 0 4px}
h2{font-size:20px;margin:44px 0 8px;padding-top:12px;border-top:1px solid var(--line)}
h3{font-size:16px;margin:32px 0 4px}
p{margin:6px 0;max-width:80ch}
.small{font-size:13px;color:var(--faint)}
.banner{background:var(--warn);border-left:4px solid var(--dirty);padding:8px 12px;margin:12px 0;max-width:none}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:2px 14px;font-size:14px;margin:12px 0}
dt{color:var(--faint)}dd{margin:0;overflow-wrap:anywhere}
nav{font-size:14px;margin:10px 0}nav a{margin-right:12px;white-space:nowrap;display:inline-block}
a{color:var(--wire)}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr));gap:6px 20px}
.panel{margin:8px 0;min-width:0;break-inside:avoid}
.panel figcaption{font-size:13px;font-weight:600}
.panel svg{width:100%;max-width:430px;height:auto;display:block}
.plot{font-family:system-ui,"DejaVu Sans",sans-serif}
.plot text,.plot tspan{white-space:pre}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;margin:8px 0}
.legend span{max-width:100%}.legend i{display:inline-block;width:14px;height:10px;border-radius:2px;margin-right:5px}
.legend i.dashed{height:0;border-top:2px dashed;border-radius:0;margin-bottom:3px}
.scroll{overflow-x:auto;margin:8px 0}
table{border-collapse:collapse;font-size:12.5px}
th,td{text-align:left;padding:4px 8px;border-bottom:1px solid var(--line);white-space:nowrap;font-variant-numeric:tabular-nums}
th{white-space:normal;font-weight:600;background:var(--soft);vertical-align:bottom}
td:first-child{border-left:4px solid transparent}
tr.godwit td:first-child{border-left-color:var(--godwit-0)}tr.stock td:first-child{border-left-color:var(--stock-0)}
.claims tr.godwit td:last-child{color:var(--godwit-0);font-weight:600}.claims tr.stock td:last-child{color:var(--stock-0);font-weight:600}
.score td.godwit{color:var(--godwit-0);font-weight:600}.score td.stock{color:var(--stock-0);font-weight:600}.score td.noise,.score td.plain{color:var(--faint)}
.failed{color:var(--failed)}
select{font:inherit;padding:4px 6px;max-width:100%;background:var(--soft);color:inherit;border:1px solid var(--line)}
label{display:inline-block;margin:6px 14px 6px 0}
ul{padding-left:20px;margin:6px 0}
@media print{main{max-width:none}.scroll{overflow:visible}table{font-size:9px}nav,label{display:none}}
`;
