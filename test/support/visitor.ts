// A browser without a browser: keeps cookies per host, follows redirects one by one, fills in the provider's login and consent pages.

export interface Page {
  readonly url: string;
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

const stepsMax = 15;
const timeoutMs = 15_000;

export class Visitor {
  private readonly jars = new Map<string, Map<string, string>>();
  /** Sent with every request. */
  headers: Record<string, string> = { accept: 'text/html' };

  /** One request, no redirect followed. */
  async send(
    url: string,
    init: { method?: string; headers?: Record<string, string>; body?: string | URLSearchParams } = {},
  ): Promise<Page> {
    const { host } = new URL(url);
    const cookies = [...(this.jars.get(host) ?? new Map())].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, {
      method: init.method ?? 'GET',
      redirect: 'manual',
      headers: { ...this.headers, ...(cookies === '' ? {} : { cookie: cookies }), ...init.headers },
      ...(init.body === undefined ? {} : { body: init.body }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    for (const line of response.headers.getSetCookie()) this.keep(host, line);
    return { url, status: response.status, headers: response.headers, text: await response.text() };
  }

  /** Follows redirects from here until one leads to `stopBefore`, or a page comes; logs in at the provider as `subject` on the way. */
  async travel(start: string, options: { subject: string; stopBefore?: (url: string) => boolean }): Promise<Page> {
    let page = await this.send(start);
    for (let step = 0; step < stepsMax; step++) {
      const location = page.headers.get('location');
      if (location !== null && page.status >= 300 && page.status < 400) {
        const next = new URL(location, page.url).href;
        if (options.stopBefore?.(next) === true) return { ...page, url: next };
        page = await this.send(next);
        continue;
      }
      const form = /<form[^>]* action="([^"]+)"[^>]*>/.exec(page.text)?.[1];
      const prompt = /name="prompt" value="(login|consent)"/.exec(page.text)?.[1];
      if (form !== undefined && page.text.includes('document.forms[0].submit()')) {
        const fields = new URLSearchParams();
        for (const [, name = '', value = ''] of page.text.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g))
          fields.append(name, value);
        page = await this.send(new URL(form, page.url).href, { method: 'POST', body: fields });
        continue;
      }
      if (form === undefined || prompt === undefined) return page;
      const body = new URLSearchParams({ prompt, ...(prompt === 'login' ? { login: options.subject, password: 'any' } : {}) });
      page = await this.send(new URL(form, page.url).href, { method: 'POST', body });
    }
    throw new Error(`no end after ${stepsMax} steps, at ${page.url}`);
  }

  cookie(url: string, name: string): string | undefined {
    return this.jars.get(new URL(url).host)?.get(name);
  }

  setCookie(url: string, name: string, value: string): void {
    this.keep(new URL(url).host, `${name}=${value}`);
  }

  private keep(host: string, line: string): void {
    const [pair = ''] = line.split(';');
    const equals = pair.indexOf('=');
    const jar = this.jars.get(host) ?? new Map<string, string>();
    this.jars.set(host, jar);
    const value = pair.slice(equals + 1);
    if (value === '' || /max-age=0\b|expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(pair.slice(0, equals));
    else jar.set(pair.slice(0, equals), value);
  }
}
