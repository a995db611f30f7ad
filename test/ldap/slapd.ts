// Starts OpenLDAP (Debian's slapd) on free loopback ports with a folder of its own and entries given as LDIF. It ends only the process it started.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Slapd {
  readonly url: string;
  readonly tlsUrl: string;
  /** PEM text of the authority that signed its certificate, which is for `localhost`. */
  readonly ca: string;
  readonly bindDn: string;
  readonly bindPassword: string;
  /** Runs one of the LDAP tools as the administrator, with LDIF on its input. */
  change(ldif: string): Promise<void>;
  remove(dn: string): Promise<void>;
  /** Log lines that name an operation, such as BIND or SRCH: what the server was asked so far. */
  count(operation: string): number;
  stop(): Promise<void>;
}

export const base = 'dc=example,dc=org';

/** With memberOf kept by the server. `password` of the bind DN is fixed and known. */
export async function startSlapd(ldif: string): Promise<Slapd> {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-slapd-'));
  for (const name of ['data', 'tls']) mkdirSync(join(folder, name));
  const [port, tlsPort] = [await freePort(), await freePort()];
  const ca = await makeCertificates(join(folder, 'tls'));
  const bindDn = `cn=reader,${base}`;
  const bindPassword = 'rëader "1"';
  const config = join(folder, 'slapd.conf');
  writeFileSync(config, configOf(folder));
  const file = join(folder, 'entries.ldif');
  writeFileSync(file, trunk({ dn: bindDn, password: bindPassword }));
  await run(['slapadd', '-q', '-f', config, '-l', file]);
  let log = '';
  const child = Bun.spawn(['slapd', '-f', config, '-h', `ldap://127.0.0.1:${port}/ ldaps://127.0.0.1:${tlsPort}/`, '-d', 'stats'], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
  });
  const collect = async (): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) log += decoder.decode(chunk, { stream: true });
  };
  void collect();
  await untilListening(
    port,
    () => child.exitCode !== null,
    () => log,
  );
  const url = `ldap://127.0.0.1:${port}`;
  const admin = ['-x', '-H', url, '-D', `cn=admin,${base}`, '-w', 'admin'];
  // Over the wire, so that the server keeps memberOf.
  await run(['ldapadd', ...admin], ldif);
  return {
    url,
    tlsUrl: `ldaps://localhost:${tlsPort}`,
    ca,
    bindDn,
    bindPassword,
    change: (text) => run(['ldapmodify', ...admin], text),
    remove: (dn) => run(['ldapdelete', ...admin, dn]),
    count: (operation) => log.split('\n').filter((line) => line.includes(` ${operation} `)).length,
    stop: async () => {
      child.kill();
      await child.exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configOf(folder: string): string {
  const tls = join(folder, 'tls');
  const schemas = ['core', 'cosine', 'nis', 'inetorgperson'].map((name) => `include /etc/ldap/schema/${name}.schema`);
  return `${schemas.join('\n')}
pidfile ${join(folder, 'pid')}
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
TLSCACertificateFile ${join(tls, 'ca.pem')}
TLSCertificateFile ${join(tls, 'server.pem')}
TLSCertificateKeyFile ${join(tls, 'server.key')}
database mdb
maxsize 67108864
suffix "${base}"
rootdn "cn=admin,${base}"
rootpw admin
directory ${join(folder, 'data')}
index objectClass,uid,member eq
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by users read by anonymous auth by * none
`;
}

function trunk(reader: { readonly dn: string; readonly password: string }): string {
  return `dn: ${base}
objectClass: dcObject
objectClass: organization
o: example
dc: example

dn: ou=people,${base}
objectClass: organizationalUnit
ou: people

dn: ou=groups,${base}
objectClass: organizationalUnit
ou: groups

dn: ${reader.dn}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword:: ${Buffer.from(reader.password).toString('base64')}
`;
}

/** An authority and a certificate for localhost, as PEM files. */
async function makeCertificates(folder: string): Promise<string> {
  const at = (name: string): string => join(folder, name);
  const days = ['-days', '2'];
  await run([
    'openssl',
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.pem'),
    '-subj',
    '/CN=test authority',
    ...days,
  ]);
  await run([
    'openssl',
    'req',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    at('server.key'),
    '-out',
    at('server.csr'),
    '-subj',
    '/CN=localhost',
  ]);
  writeFileSync(at('names'), 'subjectAltName=DNS:localhost\n');
  await run([
    'openssl',
    'x509',
    '-req',
    '-in',
    at('server.csr'),
    '-CA',
    at('ca.pem'),
    '-CAkey',
    at('ca.key'),
    '-CAcreateserial',
    '-out',
    at('server.pem'),
    '-extfile',
    at('names'),
    ...days,
  ]);
  return Bun.file(at('ca.pem')).text();
}

async function run(command: readonly string[], input?: string): Promise<void> {
  const child = Bun.spawn([...command], {
    stdin: input === undefined ? 'ignore' : Buffer.from(input),
    stdout: 'ignore',
    stderr: 'pipe',
    timeout: 60_000,
  });
  const errors = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`${command[0]} failed: ${errors}`);
}

/** A port nobody listens on now; slapd cannot choose one itself. */
async function freePort(): Promise<number> {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

async function untilListening(port: number, hasEnded: () => boolean, log: () => string): Promise<void> {
  const endMs = performance.now() + 20_000;
  while (!(await canConnect(port))) {
    if (hasEnded() || performance.now() > endMs) throw new Error(`slapd did not start:\n${log().slice(-2000)}`);
    await Bun.sleep(20);
  }
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
