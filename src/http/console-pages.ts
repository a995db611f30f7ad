// The plain pages a browser needs to log in today: no script, no style of their own, every text escaped. Links are relative, so they hold below
// any path prefix.

import type { ConsoleWords } from './console-words.ts';

export interface PageContext {
  readonly language: string;
  readonly words: ConsoleWords;
  /** From the page to the root of this server: `./` or `../../`. */
  readonly root: string;
}

/** Markup whose values were escaped. */
class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Piece = string | number | Markup | readonly Markup[] | undefined;

const special: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function html(parts: TemplateStringsArray, ...values: readonly Piece[]): Markup {
  return new Markup(parts.map((part, index) => part + show(values[index])).join(''));
}

function show(value: Piece): string {
  if (value === undefined) return '';
  if (value instanceof Markup) return value.text;
  if (typeof value === 'object') return value.map((one) => one.text).join('');
  return String(value).replace(/[&<>"']/g, (letter) => special[letter] ?? '');
}

export function loginPage(
  context: PageContext,
  options: {
    providers: readonly { readonly name: string; readonly title: string }[];
    returnTo: string;
    csrfToken: string;
    problem?: string;
  },
): string {
  const { words, root } = context;
  const { providers, returnTo, csrfToken, problem } = options;
  return page(
    context,
    html`<h1>${words.title}</h1>
${problem === undefined ? undefined : html`<p class="problem" role="alert">${problem}</p>`}
<form method="post" action="${root}c/login">
<label>${words.name} <input name="principal" autocomplete="username" required autofocus maxlength="255"></label>
<label>${words.password} <input name="password" type="password" autocomplete="current-password" required maxlength="1024"></label>
<input type="hidden" name="return_to" value="${returnTo}">
<input type="hidden" name="csrf" value="${csrfToken}">
<button>${words.login}</button>
</form>
${providers.map(
  ({ name, title }) =>
    html`<p><a class="provider" href="${root}c/oidc/login?${new URLSearchParams({ provider: name, return_to: returnTo }).toString()}">${words.loginWith} ${title}</a></p>
`,
)}`,
  );
}

export interface ShownSession {
  readonly isThis: boolean;
  readonly createdAtMs: number;
  readonly seenAtMs: number;
  readonly address: string | null;
  readonly userAgent: string;
}

export function accountPage(
  context: PageContext,
  options: { name: string; isAdmin: boolean; sessions: readonly ShownSession[]; csrfToken: string; origin: string },
): string {
  const { words, root } = context;
  return page(
    context,
    html`<h1>${words.title}</h1>
<p>${words.loggedInAs} <strong id="who">${options.name}</strong>${options.isAdmin ? html` (${words.administrator})` : undefined}</p>
<form method="post" action="${root}c/log_out"><input type="hidden" name="csrf" value="${options.csrfToken}"><button>${words.logout}</button></form>
<p>${words.cliHint} <code>breakwater token create</code> · <code>docker login ${options.origin.replace(/^https?:\/\//, '')}</code></p>
<h2>${words.sessions}</h2>
<ul>${options.sessions.map(
      (session) =>
        html`<li>${words.since} ${time(session.createdAtMs)}, ${words.lastUsed} ${time(session.seenAtMs)}${
          session.address === null ? undefined : html`, ${words.from} ${session.address}`
        }${session.isThis ? html` (${words.thisOne})` : undefined} <small>${session.userAgent}</small></li>
`,
    )}</ul>`,
  );
}

export function namePage(
  context: PageContext,
  options: { state: string; suggestion: string; csrfToken: string; problem?: string },
): string {
  const { words, root } = context;
  return page(
    context,
    html`<h1>${words.chooseName}</h1>
<p>${words.chooseNameHint}</p>
${options.problem === undefined ? undefined : html`<p class="problem" role="alert">${options.problem}</p>`}
<form method="post" action="${root}c/oidc/onboard">
<label>${words.name} <input name="username" value="${options.suggestion}" autocomplete="username" required autofocus maxlength="255"></label>
<input type="hidden" name="state" value="${options.state}">
<input type="hidden" name="csrf" value="${options.csrfToken}">
<button>${words.go}</button>
</form>`,
  );
}

export function problemPage(context: PageContext, problem: string): string {
  const { words, root } = context;
  return page(
    context,
    html`<h1>${words.failed}</h1>
<p class="problem" role="alert">${problem}</p>
<p><a href="${root}login">${words.back}</a></p>`,
  );
}

/** On to another site. A redirect would not do after a form: its policy (`form-action`) holds for where the answer leads, too. */
export function leavePage(context: PageContext, url: string): string {
  const { words } = context;
  const refresh = html`<meta http-equiv="refresh" content="0;url=${url}">`;
  return page(
    context,
    html`<h1>${words.logout}</h1>
<p><a href="${url}">${words.go}</a></p>`,
    refresh,
  );
}

function page({ language, words, root }: PageContext, body: Markup, head?: Markup): string {
  return html`<!doctype html>
<html lang="${language}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${words.title}</title>${head}
<link rel="icon" href="data:,"><link rel="stylesheet" href="${root}c/style.css"></head>
<body><main>
${body}
</main></body>
</html>
`.text;
}

function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

export const consoleStyle = `body { font: 16px/1.5 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; margin: 0; background: #f4f6f8; color: #16202a; }
main { max-width: 30rem; margin: 4rem auto; padding: 2rem; background: #fff; border: 1px solid #d5dce3; border-radius: 8px; overflow-wrap: anywhere; }
h1 { margin-top: 0; font-size: 1.4rem; }
h2 { font-size: 1.1rem; }
label { display: block; margin: 0.75rem 0; }
input:not([type='hidden']) { display: block; width: 100%; box-sizing: border-box; padding: 0.5rem; font: inherit; border: 1px solid #8896a5; border-radius: 4px; }
button, a.provider { display: inline-block; padding: 0.5rem 1rem; font: inherit; color: #fff; background: #175a8c; border: 0; border-radius: 4px; text-decoration: none; cursor: pointer; }
.problem { padding: 0.5rem 1rem; background: #fdecea; border-left: 4px solid #b3261e; }
@media (prefers-color-scheme: dark) { body { background: #10161c; color: #e3e9ef; } main { background: #18212a; border-color: #33414f; } .problem { background: #3a1714; } }
`;
