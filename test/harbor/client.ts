// A generic OpenAPI client (openapi-client-axios) pointed at the server with Harbor's operations, called by Harbor's names of them.

import { OpenAPIClientAxios } from 'openapi-client-axios';
import { operations } from './operations.ts';

const timeoutMs = 30_000;
type Options = NonNullable<ConstructorParameters<typeof OpenAPIClientAxios>[0]>;

export interface HarborAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  // biome-ignore lint/suspicious/noExplicitAny: bodies are looked at by the assertions of a test
  readonly data: any;
}
export interface HarborClient {
  /** Calls an operation by Harbor's name of it. */
  call(id: string, parameters?: Readonly<Record<string, string | number | boolean>>, body?: unknown): Promise<HarborAnswer>;
}

export async function createHarborClient(
  url: string,
  login: { readonly username: string; readonly password: string },
): Promise<HarborClient> {
  const api = new OpenAPIClientAxios({
    definition: definition(url),
    axiosConfigDefaults: { auth: login, timeout: timeoutMs, validateStatus: () => true },
  });
  const client = await api.init();
  return {
    call: async (id, parameters = {}, body) => {
      const operation = client[id];
      if (operation === undefined) throw new Error(`Harbor has no operation ${id}`);
      const { status, headers, data } = await operation({ ...parameters } as Record<string, string | number | boolean> as never, body);
      return { status, headers: headers as Record<string, string>, data };
    },
  };
}

/** Harbor's interface as an OpenAPI 3 document: paths, methods, parameters. */
function definition(url: string): NonNullable<Options['definition']> {
  const paths: Record<string, Record<string, object>> = {};
  for (const { id, method, path, query } of operations) {
    const inPath = [...path.matchAll(/\{([a-z_]+)\}/g)].map((match) => ({
      name: match[1],
      in: 'path',
      required: true,
      schema: { type: 'string' },
    }));
    const inQuery = query.map((name) => ({ name, in: 'query', schema: { type: 'string' } }));
    paths[path] ??= {};
    Object.assign(paths[path], {
      [method.toLowerCase()]: {
        operationId: id,
        parameters: [...inPath, ...inQuery],
        responses: { default: { description: 'an answer' } },
      },
    });
  }
  return { openapi: '3.0.3', info: { title: 'Harbor', version: '2.0' }, servers: [{ url: `${url}/api/v2.0` }], paths };
}
