// The fenced blocks of a Markdown page that are marked as tested, `<!-- tested: WHAT -->` on the line before: WHAT is the path of the file that a
// block of configuration goes to, or the program that a block of shell lines needs.

export interface Block {
  readonly what: string;
  /** The word behind the fence: `sh`, `toml`, ... */
  readonly language: string;
  readonly text: string;
}

/** The part of a page under a heading of level 2, up to the next one. Throws when there is none. */
export function sectionOf(page: string, heading: string): string {
  const start = page.indexOf(`\n## ${heading}\n`);
  if (start === -1) throw new Error(`no heading ${heading}`);
  const end = page.indexOf('\n## ', start + 1);
  return page.slice(start, end === -1 ? undefined : end);
}

/** All fenced blocks in order; `what` is empty for one that is not marked. */
export function blocksOf(markdown: string): readonly Block[] {
  const matches = markdown.matchAll(/(?:^<!-- tested: (.+?) -->\n)?^```(\w*)\n([\s\S]*?)^```$/gm);
  return [...matches].map(([, what = '', language = '', text = '']) => ({ what, language, text }));
}

/** The block of a page that is marked so. Throws when there is none. */
export function blockFor(blocks: readonly Block[], what: string): string {
  const found = blocks.find((block) => block.what === what);
  if (found === undefined) throw new Error(`no block is marked ${what}; there are ${blocks.map((block) => block.what).join(', ')}`);
  return found.text;
}
