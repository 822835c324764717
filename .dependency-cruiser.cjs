/**
 * The arrows between modules go one way (ARCHITECTURE.md, "Modules").
 * Each module may import itself and what is listed here; everything else is forbidden.
 */
const ARROWS = {
  errors: [],
  trust: ["errors"],
  wire: [],
  stream: [],
  pages: ["wire", "stream"],
  paging: [],
  migration: ["errors", "wire", "stream", "pages", "paging"],
  link: ["errors", "trust", "wire"],
  qemu: ["errors"],
  relay: ["errors", "trust", "wire", "stream", "pages", "paging", "migration", "link"],
  agent: ["errors", "trust", "pages", "paging", "migration", "qemu", "relay"],
  bench: ["errors"],
  cli: ["errors", "trust", "stream", "pages", "paging", "migration", "qemu", "relay", "agent", "bench"],
};
const PURE = ["errors", "wire", "stream", "pages", "paging", "migration"];
const others = (allowed, self) => Object.keys(ARROWS).filter((m) => m !== self && !allowed.includes(m));

module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    ...Object.entries(ARROWS).map(([module, allowed]) => ({
      name: `arrows-of-${module}`,
      severity: "error",
      from: { path: `^src/${module}/` },
      to: { path: `^(lab|bench|sim|fuzz|test)/|^src/(${others(allowed, module).join("|")})/` },
    })),
    {
      name: "through-mod-only",
      comment: "another module is entered by its mod.ts alone",
      severity: "error",
      from: { path: "^src/([^/]+)/" },
      to: { path: "^src/([^/]+)/", pathNot: ["^src/$1/", "/mod\\.ts$"] },
    },
    {
      name: "pure-modules-import-no-node",
      severity: "error",
      from: { path: `^src/(${PURE.join("|")})/` },
      to: { dependencyTypes: ["core", "npm", "npm-dev"] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    exclude: { path: "node_modules" },
  },
};
