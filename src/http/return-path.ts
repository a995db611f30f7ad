// Where a browser goes after a login or a logout: to a page of our own, or to the account's page. What a link asks for is compared as it was
// parsed, never sent on as it was written. security.md SEC-E12.

export const accountPath = '/account';
export const loginPath = '/login';

const pages: ReadonlySet<string> = new Set([accountPath, loginPath]);
/** Only to be resolved against. */
const anywhere = 'http://own.invalid';

/** The path of one of our pages; that of the account's page for anything else. */
export function readReturnPath(text: string | null | undefined): string {
  if (text === null || text === undefined || text.length > 200 || !/^\/[A-Za-z]/.test(text)) return accountPath;
  const url = URL.parse(text, anywhere);
  return url !== null && url.origin === anywhere && url.username === '' && pages.has(url.pathname) ? url.pathname : accountPath;
}
