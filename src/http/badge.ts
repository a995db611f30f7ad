// A badge: two words on a colour, as an SVG that needs nothing from elsewhere. Pure.

const colours = { up: '#2e7d32', degraded: '#b26a00', down: '#b71c1c', unknown: '#616161' } as const;
export type BadgeState = keyof typeof colours;

const height = 20;
const padding = 6;
/** Of the system's sans-serif at 11 px: wide enough for any letter; the text is stretched to it. */
const letterWidth = 6.6;

/** `label` on grey, `message` on the colour of the state. */
export function drawBadge(badge: { readonly label: string; readonly message: string; readonly state: BadgeState }): string {
  const [left, right] = [widthOf(badge.label), widthOf(badge.message)];
  const [label, message] = [escapeXml(badge.label), escapeXml(badge.message)];
  const width = left + right;
  const text = (x: number, boxWidth: number, words: string): string =>
    `<text x="${x + boxWidth / 2}" y="14" textLength="${boxWidth - 2 * padding}" lengthAdjust="spacingAndGlyphs">${words}</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" role="img" aria-label="${label}: ${message}">`,
    `<title>${label}: ${message}</title>`,
    `<clipPath id="r"><rect width="${width}" height="${height}" rx="3"/></clipPath>`,
    `<g clip-path="url(#r)"><rect width="${left}" height="${height}" fill="#424242"/>`,
    `<rect x="${left}" width="${right}" height="${height}" fill="${colours[badge.state]}"/></g>`,
    `<g fill="#fff" text-anchor="middle" font-family="sans-serif" font-size="11">${text(0, left, label)}${text(left, right, message)}</g>`,
    '</svg>\n',
  ].join('');
}

function widthOf(text: string): number {
  return Math.round([...text].length * letterWidth) + 2 * padding;
}

function escapeXml(text: string): string {
  return text.replace(/[<>&"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
