import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { findImages, ImageListError } from './image-list.ts';

const digest = `sha256:${'a'.repeat(64)}`;

describe('images in a text', () => {
  test('a list has one image a line, with comments', () => {
    const found = findImages(`# base\nnginx:1.27\n\n ghcr.io/a/b@${digest} # pinned\nlocalhost:5000/x\nnginx:1.27\n`, {});
    expect(found).toEqual({ kind: 'list', images: ['nginx:1.27', `ghcr.io/a/b@${digest}`, 'localhost:5000/x'], notes: [] });
  });
  test('a compose file gives the images of its services, variables filled in', () => {
    const text = `
x-base: &base
  image: redis:\${REDIS:-7}
services:
  web: { image: "nginx:\${NGINX}" }
  cache: *base
  merged: { <<: *base }
  app: { build: . }
  odd: { image: "app:\${UNSET}" }
`;
    const found = findImages(text, { NGINX: '1.27' });
    expect(found.kind).toBe('compose');
    expect(found.images).toEqual(['nginx:1.27', 'redis:7']);
    expect(found.notes.join('; ')).toContain('service app is built');
    expect(found.notes.join('; ')).toContain('a variable is not set');
  });
  test('Kubernetes manifests give every image: workloads, init and ephemeral containers, CronJobs, lists, custom resources, image volumes', () => {
    const text = `
apiVersion: apps/v1
kind: Deployment
spec: { template: { spec: { initContainers: [{ image: init:1 }], containers: [{ image: "main:1" }, { image: side:1 }],
  ephemeralContainers: [{ image: debug:1 }], volumes: [{ image: { reference: "data:1" } }] } } }
---
# nothing here
---
apiVersion: batch/v1
kind: CronJob
spec: { jobTemplate: { spec: { template: { spec: { containers: [{ image: cron:1 }] } } } } }
---
apiVersion: v1
kind: List
items:
  - { apiVersion: v1, kind: Pod, spec: { containers: [{ image: pod:1 }] } }
---
apiVersion: example.com/v1
kind: Database
spec: { image: "ghcr.io/example/db:16", replicas: 2 }
---
apiVersion: v1
kind: ConfigMap
data: { image: not-this:1, values.yaml: "image: nor-this:1" }
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec: { versions: [{ schema: { openAPIV3Schema: { properties: { image: { type: string } } } } }] }
`;
    const found = findImages(text, {});
    expect(found.kind).toBe('kubernetes');
    expect(found.images).toEqual(['init:1', 'main:1', 'side:1', 'debug:1', 'data:1', 'cron:1', 'pod:1', 'ghcr.io/example/db:16']);
  });
  test('a text that names nothing says what was expected', () => {
    for (const text of [
      '',
      '# only a comment',
      '---\n',
      'a: 1',
      '[1, 2]',
      'kind: Pod\napiVersion: v1',
      'services: {}',
      'a: [',
      'not an image name!',
    ])
      expect(() => findImages(text, {})).toThrow(ImageListError);
  });
  test('YAML that stands for a billion values is refused', () => {
    const lines = ['a0: &a0 [x,x,x,x,x,x,x,x,x,x]'];
    for (let level = 1; level < 10; level++)
      lines.push(`a${level}: &a${level} [${Array.from({ length: 10 }, () => `*a${level - 1}`).join(',')}]`);
    expect(() => findImages(`apiVersion: v1\nkind: X\n${lines.join('\n')}`, {})).toThrow(ImageListError);
  });
  test('whatever comes, it is images or a coded refusal', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.lorem().map((text) => `services:\n  a:\n    image: ${text}`),
        ),
        (text) => {
          try {
            expect(findImages(text, {}).images.length).toBeGreaterThan(0);
          } catch (error) {
            expect(error).toBeInstanceOf(ImageListError);
          }
        },
      ),
    );
  });
});
