// What can be wrong between a client and this server, in words for the person who set the proxy up: each problem with what to change.
// Texts only; who found a problem and how is login-check.ts.

/** How a request looked when it reached the server, told by the server itself. */
export interface Arrival {
  /** Who opened the connection. */
  readonly peer?: string | undefined;
  readonly isTrusted: boolean;
  readonly host?: string | undefined;
  /** Those of X-Forwarded-For, -Proto, -Host, -Port, -Prefix that came. */
  readonly forwarded: Readonly<Record<string, string>>;
  readonly hasAuthorization: boolean;
  /** Where the server would send the client for a token, without `/service/token`. */
  readonly origin: string;
  readonly externalUrl?: string | undefined;
}

export type LoginProblem =
  | 'host-unknown'
  | 'refused'
  | 'silent'
  | 'broken-off'
  | 'certificate-unknown'
  | 'certificate-name'
  | 'certificate-expired'
  | 'no-tls'
  | 'tls-wanted'
  | 'redirected'
  | 'server-unreachable'
  | 'v2-not-routed'
  | 'no-login-asked'
  | 'proxy-login'
  | 'challenge-removed'
  | 'other-server'
  | 'realm-unreadable'
  | 'realm-scheme'
  | 'realm-host'
  | 'realm-port'
  | 'realm-path'
  | 'token-not-routed'
  | 'authorization-removed'
  | 'login-refused'
  | 'throttled'
  | 'token-refused'
  | 'push-refused'
  | 'location-changed'
  | 'method-blocked'
  | 'body-limit'
  | 'body-buffered';

export interface Words {
  readonly message: string;
  readonly fix: string;
}

/** How the server learns the right address, by what it saw of the request. */
export function howToTellAddress(url: string, what: 'scheme' | 'host' | 'port' | 'path', arrival: Arrival | undefined): string {
  const simplest = `set external_url: ${url} in the server's configuration`;
  if (arrival?.externalUrl !== undefined) {
    return arrival.externalUrl === url
      ? 'restart the server: its configuration has the right external_url'
      : `change external_url in the server's configuration from ${arrival.externalUrl} to ${url}`;
  }
  const header = {
    scheme: 'x-forwarded-proto',
    host: 'x-forwarded-host',
    port: 'x-forwarded-host',
    path: 'x-forwarded-prefix',
  }[what];
  const path = new URL(url).pathname.replace(/\/+$/, '');
  const line = {
    scheme: 'proxy_set_header X-Forwarded-Proto $scheme;',
    host: 'proxy_set_header X-Forwarded-Host $http_host;',
    port: 'proxy_set_header X-Forwarded-Host $http_host;',
    path: `proxy_set_header X-Forwarded-Prefix ${path};`,
  }[what];
  if (arrival === undefined)
    return `${simplest}, or let the proxy send ${title(header)} (nginx: ${line}) and list its address in trusted_proxies`;
  const isSent = arrival.forwarded[header] !== undefined;
  const block = arrival.peer === undefined ? "the proxy's address" : `${arrival.peer}/${arrival.peer.includes(':') ? 128 : 32}`;
  if (isSent && !arrival.isTrusted)
    return `add ${block} to trusted_proxies: the proxy sends ${title(header)}, but its word does not count; or ${simplest}`;
  const trust = arrival.isTrusted ? '' : `, and add ${block} to trusted_proxies`;
  return isSent ? simplest : `${simplest}, or let the proxy send ${title(header)} (nginx: ${line})${trust}`;
}

function title(header: string): string {
  return header.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
}

/** The words of the problems that need none of their own. `where` is the URL that was asked. */
export function wordsFor(problem: LoginProblem, where: string, detail = ''): Words {
  const said = detail === '' ? '' : ` (${detail})`;
  const { host, hostname } = new URL(where);
  switch (problem) {
    case 'host-unknown':
      return { message: `the name ${hostname} is not known${said}`, fix: 'add it to the DNS, or use a name that clients can resolve' };
    case 'refused':
      return { message: `nothing listens at ${host}${said}`, fix: 'start the proxy, or correct its port and the firewall' };
    case 'silent':
      return { message: `no answer from ${where} in time${said}`, fix: 'look for a firewall on the way, and at the log of the proxy' };
    case 'broken-off':
      return { message: `the connection to ${where} failed${said}`, fix: 'the log of the proxy says why' };
    case 'certificate-unknown':
      return {
        message: `the certificate of ${host} is signed by nobody who is trusted here${said}`,
        fix: `let the proxy send the whole chain (nginx: ssl_certificate with fullchain.pem); of an authority of your own, give clients its certificate: /etc/docker/certs.d/${host}/ca.crt, and --ca-file here`,
      };
    case 'certificate-name':
      return { message: `the certificate is not for ${hostname}${said}`, fix: `use a name that is in it, or get one for ${hostname}` };
    case 'certificate-expired':
      return {
        message: `the certificate of ${host} is out of date${said}`,
        fix: 'renew it and reload the proxy; if it is new, set the clock',
      };
    case 'no-tls':
      return {
        message: `what listens at ${host} does not speak TLS${said}`,
        fix: 'turn TLS on there (nginx: listen 443 ssl), or use http://',
      };
    case 'tls-wanted':
      return { message: `${host} wants TLS`, fix: 'use https:// in the URL' };
    case 'redirected':
      return {
        message: `${where} is answered with a redirect${said}; clients do not log in through one`,
        fix: 'use the address it leads to, or pass /v2/ to the server instead',
      };
    case 'server-unreachable':
      return {
        message: `the proxy cannot reach the server${said}`,
        fix: 'is it running, and at the address the proxy passes requests to?',
      };
    case 'v2-not-routed':
      return {
        message: `${where} does not lead to a registry${said}`,
        fix: `pass /v2/ of ${host} to the server, at the root of the host whatever the prefix: Docker and podman know no other place (nginx: location /v2/ { proxy_pass http://SERVER:5000; })`,
      };
    case 'no-login-asked':
      return {
        message: `${where} is open without a login${said}, which Breakwater never is: another registry answers, or the proxy logs in by itself`,
        fix: 'pass /v2/ to Breakwater, without an Authorization header of the proxy',
      };
    case 'proxy-login':
      return {
        message: `the proxy asks for a login of its own${said}; a client can send only one`,
        fix: 'turn it off for /v2/ and /service/ (nginx: auth_basic off; no auth_request)',
      };
    case 'challenge-removed':
      return {
        message: 'the answer 401 has no WWW-Authenticate header: the proxy removes it, or answers itself',
        fix: 'let the header pass (nginx: no proxy_hide_header WWW-Authenticate, no error_page for 401)',
      };
    case 'other-server':
      return {
        message: `${where} leads to another server, not to this one`,
        fix: 'correct external_url, or where the proxy passes requests to',
      };
    case 'realm-unreadable':
      return {
        message: `the challenge names no address for tokens${said}`,
        fix: 'pass /v2/ to Breakwater itself, without changing WWW-Authenticate',
      };
    case 'token-not-routed':
      return {
        message: `${where} does not lead to the token service${said}`,
        fix: `pass ${new URL(where).pathname} to the server, too (nginx: location ${new URL(where).pathname.replace(/token$/, '')} { proxy_pass http://SERVER:5000; })`,
      };
    case 'authorization-removed':
      return {
        message: `the Authorization header does not arrive at ${where}: the proxy removes it`,
        fix: 'let it pass (nginx: proxy_set_header Authorization $http_authorization; and no proxy_pass_request_headers off)',
      };
    case 'login-refused':
      return {
        message: 'the login is refused: the user is unknown or the password wrong',
        fix: 'check --user and the password; the way there is right',
      };
    case 'throttled':
      return {
        message: 'too many wrong logins have come from here',
        fix: `wait${said === '' ? ' a while' : said}, then try again with the right password`,
      };
    case 'token-refused':
      return {
        message: `the server refuses a token it has just given${said}`,
        fix: 'do several servers share this address? They must share their database',
      };
    case 'push-refused':
      return { message: `this user may not push there${said}`, fix: 'name a repository this user may push to; the way there is right' };
    case 'location-changed':
      return {
        message: `the address of an upload is changed on the way${said}`,
        fix: 'let Location pass as it is (nginx: proxy_redirect off)',
      };
    case 'method-blocked':
      return { message: `the proxy does not let ${detail} pass`, fix: 'allow GET, HEAD, POST, PUT, PATCH and DELETE below /v2/' };
    case 'body-limit':
      return {
        message: `the proxy refuses a layer of ${detail} (413)`,
        fix: 'lift its limit for bodies below /v2/ (nginx: client_max_body_size 0;)',
      };
    case 'body-buffered':
      return {
        message: 'the proxy keeps a whole layer before it passes the first byte on: pushes need its disk and take twice as long',
        fix: 'nginx: proxy_request_buffering off; proxy_http_version 1.1;',
      };
    case 'realm-scheme':
    case 'realm-host':
    case 'realm-port':
    case 'realm-path':
      return { message: `clients are sent to a wrong address for their token${said}`, fix: `set external_url` };
  }
}
