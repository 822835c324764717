/**
 * Reads apt's source lists and keeps what is Debian itself, so that packages come from the mirror that this system
 * uses already. Pure text in, text out.
 */

export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  /** `Signed-By` of the entry: a keyring's path. Null: apt's own trusted keys. */
  readonly signedBy: string | null;
}

/** Entries of one-line style (`deb [options] URI suite components`, sources.list(5)). */
export function parseOneLine(text: string): AptSource[] {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)/.exec(line);
    if (!match) return [];
    const signedBy = /signed-by=(\S+)/i.exec(match[1] ?? "")?.[1] ?? null;
    return [{ uri: match[2]!, suite: match[3]!, signedBy }];
  });
}

/** Entries of deb822 style (`*.sources`). An embedded key (a `Signed-By` of several lines) counts as none. */
export function parseDeb822(text: string): AptSource[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const fields = new Map<string, string>();
    for (const line of stanza.split("\n")) {
      const match = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
      if (match) fields.set(match[1]!.toLowerCase(), match[2]!.trim());
    }
    const list = (name: string): string[] => (fields.get(name) ?? "").split(/\s+/).filter((s) => s !== "");
    if (!list("types").includes("deb") || /^(no|false)$/i.test(fields.get("enabled") ?? "")) return [];
    const signedBy = list("signed-by")[0] ?? null;
    return list("uris").flatMap((uri) => list("suites").map((suite) => ({ uri, suite, signedBy })));
  });
}

/**
 * A deb822 file with the system's entries of one release, plus its backports suite where asked.
 * @param codename  such as `bookworm`
 * @returns null when no entry of `all` is of that release
 */
export function debianSources(
  all: readonly AptSource[],
  codename: string,
  options: { readonly backports: boolean },
): string | null {
  const kept = all.filter(({ suite }) => suite === codename || suite.startsWith(`${codename}-`));
  const main = kept.find(({ suite }) => suite === codename);
  if (main === undefined) return null;
  const backports = `${codename}-backports`;
  if (options.backports && !kept.some(({ suite }) => suite === backports))
    kept.push({ ...main, suite: backports });
  return kept.map(stanza).join("\n");
}

function stanza({ uri, suite, signedBy }: AptSource): string {
  const signed = signedBy === null ? "" : `Signed-By: ${signedBy}\n`;
  return `Types: deb\nURIs: ${uri}\nSuites: ${suite}\nComponents: main\n${signed}`;
}
