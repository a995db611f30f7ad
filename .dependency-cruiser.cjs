// The walls between the rooms of src/ (ARCHITECTURE.md, "Rooms"): arrows go to a lower level only, rooms of one level never import each other,
// nothing goes in circles. `parser: 'swc'` is needed: beside TypeScript 7 the default parser finds no modules at all, and an empty
// graph breaks no rule. scripts/check.ts therefore compares the number of modules seen with the number of files on disk.

const { Visitor } = require('@swc/core/Visitor');

// swc's visitor stops at `using` and `await using`, which this code relies on: to it they are declarations like any other.
const visitStatement = Visitor.prototype.visitStatement;
Visitor.prototype.visitStatement = function visitUsing(statement) {
  if (statement.type !== 'UsingDeclaration') return visitStatement.call(this, statement);
  statement.decls = this.visitVariableDeclarators(statement.decls);
  return statement;
};

/** Each inner array is one level, lowest first. A new room is a new word here and in ARCHITECTURE.md. */
const levels = [
  ['oci', 'lib'],
  ['config', 'blobs', 'db', 'upstream'],
  ['auth'],
  ['registry'],
  ['jobs'],
  ['api', 'http'],
  ['identity.ts', 'auditing.ts', 'browsers.ts'],
  ['app.ts'],
  ['cli', 'main.ts'],
];

const place = (room) => (room.endsWith('.ts') ? `^src/${room.replace('.', '[.]')}$` : `^src/${room}/`);
const anyOf = (rooms) => rooms.map(place).join('|');

const roomRules = levels.flatMap((rooms, level) =>
  rooms.map((room) => {
    const peers = rooms.filter((other) => other !== room && !(other === 'cli' && room === 'main.ts'));
    const forbidden = [...peers, ...levels.slice(level + 1).flat()];
    return {
      name: `room-${room.replace('.ts', '')}`,
      comment: `src/${room} is on level ${level}: it imports lower levels only, and no other room of its own level.`,
      severity: 'error',
      from: { path: place(room) },
      to: { path: forbidden.length === 0 ? '^src/none/' : anyOf(forbidden) },
    };
  }),
);

module.exports = {
  forbidden: [
    ...roomRules,
    {
      name: 'known-rooms',
      comment: 'Every file of src/ belongs to a room named above.',
      severity: 'error',
      from: { path: '^src/', pathNot: anyOf(levels.flat()) },
      to: {},
    },
    {
      name: 'known-rooms-target',
      comment: 'Every file of src/ belongs to a room named above.',
      severity: 'error',
      from: {},
      to: { path: '^src/', pathNot: anyOf(levels.flat()) },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'oci-is-pure',
      comment: 'src/oci parses and formats. It does no I/O and needs nothing outside itself.',
      severity: 'error',
      from: { path: '^src/oci/', pathNot: '[.]test[.]ts$' },
      to: { pathNot: '^src/oci/' },
    },
    {
      name: 'no-tests-in-source',
      comment: 'Nothing that runs in production imports a test, the bench or a script.',
      severity: 'error',
      from: { path: '^(src|web)/' },
      to: { path: '^(test|bench|scripts)/|[.]test[.]ts$' },
    },
    {
      name: 'web-apart',
      comment: 'The user interface speaks HTTP to the server, never by import.',
      severity: 'error',
      from: { path: '^web/' },
      to: { path: '^(src|test|bench|scripts)/' },
    },
    {
      name: 'server-without-web',
      severity: 'error',
      from: { path: '^(src|test|bench|scripts)/', pathNot: '^test/web/' },
      to: { path: '^web/' },
    },
    {
      name: 'http-in-two-rooms',
      comment: 'HTTP exists in src/http and src/api only (the outbound client of src/upstream uses fetch).',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(http|api)/|^src/app[.]ts$' },
      to: { path: '(^|/)node_modules/(hono|@hono)/' },
    },
    {
      name: 'sql-in-one-room',
      comment: 'SQL is spoken in src/db only.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/db/' },
      to: { path: '(^|/)node_modules/(kysely|pg)/|^bun:sqlite$' },
    },
    {
      name: 'no-dev-packages-in-source',
      severity: 'error',
      from: { path: '^src/', pathNot: '[.]test[.]ts$' },
      to: { dependencyTypes: ['npm-dev'], pathNot: 'node_modules/@types/' },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    builtInModules: { add: ['bun', 'bun:ffi', 'bun:jsc', 'bun:sqlite', 'bun:test'] },
    enhancedResolveOptions: {
      extensions: ['.ts', '.tsx', '.js', '.mjs', '.cjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['bun', 'import', 'require', 'node', 'default', 'types'],
    },
  },
};
