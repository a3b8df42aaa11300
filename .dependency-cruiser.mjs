/**
 * Which folder may use which other one, types included (docs/architecture.md, "Layers"). `npm test -- --only=layers`
 * checks it.
 */

/** From the highest to the lowest: each uses only those below it. */
const HOMESERVER = ['app', 'admin', 'meetings', 'features', 'accounts', 'engine', 'base', 'database'];
const CLIENT = ['(home|login|guest|meeting)', 'modules', 'shared', 'conference', 'media', 'session', 'core'];

/** No layer uses one above it. */
function downwards(part, folder, layers) {
  return layers.slice(1).map((layer, index) => ({
    name: `${part}-layers`,
    comment: `Layers, from the highest: ${layers.join(', ')}. What both need belongs into the lower one, or into a port there.`,
    severity: 'error',
    from: { path: `^${folder}/${layer}/` },
    to: { path: `^${folder}/(${layers.slice(0, index + 1).join('|')})/` },
  }));
}

/** A part knows nothing of these. */
function unknown(part, folder, others, comment) {
  return {
    name: `${part}-alone`,
    comment,
    severity: 'error',
    from: { path: `^${folder}/` },
    to: { path: `^(${others.join('|')})/` },
  };
}

export default {
  forbidden: [
    {
      name: 'no-cycle',
      comment: 'Put what both need into a file of its own, or hand it in.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'protocol-alone',
      comment: 'protocol/ is shared with the browser: it uses zod and itself only.',
      severity: 'error',
      from: { path: '^protocol/' },
      to: { pathNot: '^(protocol/|node_modules/zod/)' },
    },
    unknown(
      'federation',
      'federation',
      ['homeserver', 'sfu', 'protocol', 'client-angular', 'deploy', 'spec'],
      'federation/ is a library of the Matrix protocol.',
    ),
    unknown(
      'sfu',
      'sfu',
      ['homeserver', 'federation', 'client-angular', 'deploy', 'spec'],
      'The SFU knows media only.',
    ),
    unknown('homeserver', 'homeserver', ['client-angular', 'deploy', 'spec'], 'The homeserver does not know these.'),
    {
      name: 'homeserver-and-sfu',
      comment: 'Of the SFU, the homeserver knows client.ts and protocol.ts only.',
      severity: 'error',
      from: { path: '^homeserver/' },
      to: { path: '^sfu/', pathNot: '^sfu/(client|protocol)\\.ts$' },
    },
    ...downwards('homeserver', 'homeserver', HOMESERVER),
    {
      name: 'config',
      comment: 'Only main.ts and app/ know all settings; everybody else is given the few that are theirs.',
      severity: 'error',
      from: { path: `^homeserver/(${HOMESERVER.slice(1).join('|')})/` },
      to: { path: '^homeserver/[^/]+\\.ts$' },
    },
    {
      name: 'meetings-front',
      comment: 'Of meetings/, the rest of the homeserver knows index.ts only.',
      severity: 'error',
      from: { path: '^homeserver/', pathNot: '^homeserver/meetings/' },
      to: { path: '^homeserver/meetings/', pathNot: '^homeserver/meetings/index\\.ts$' },
    },
    {
      name: 'modules-apart',
      comment:
        'A module of meetings knows module.ts, people and rights; of everything else it is handed what it needs.',
      severity: 'error',
      from: { path: '^homeserver/meetings/modules/([^/]+)/' },
      to: {
        path: '^homeserver/(meetings|features|accounts)/',
        pathNot: '^homeserver/meetings/(modules/($1/|module\\.ts$)|people\\.ts$|rights\\.ts$)',
      },
    },
    {
      name: 'modules-off-the-line',
      comment: 'A module of meetings knows no WebSocket, no SFU and no HTTP.',
      severity: 'error',
      from: { path: '^homeserver/meetings/modules/([^/]+/|module\\.ts$)' },
      to: {
        path: [
          '^sfu/',
          '^(ws|express)$',
          '^node_modules/(ws|express|@types/ws|@types/express)/',
          '^(http|https|http2|net|tls|dgram)$',
        ],
      },
    },
    {
      name: 'features-apart',
      comment: 'Features meet through ports that the engine declares, not through each other.',
      severity: 'error',
      from: { path: '^homeserver/features/([^/]+)/' },
      to: { path: '^homeserver/features/', pathNot: '^homeserver/features/$1/' },
    },
    unknown(
      'client',
      'client-angular',
      ['homeserver', 'federation', 'sfu', 'deploy', 'spec'],
      'The client knows the server by protocol/ only.',
    ),
    ...downwards('client', 'client-angular/src/app', CLIENT),
    {
      name: 'client-pages-apart',
      comment: 'Pages do not use each other: what two need belongs into shared/.',
      severity: 'error',
      from: { path: '^client-angular/src/app/(home|login|guest|meeting)/' },
      to: {
        path: '^client-angular/src/app/(home|login|guest|meeting)/',
        pathNot: '^client-angular/src/app/$1/',
      },
    },
    {
      name: 'client-modules-apart',
      comment: 'Modules of meetings do not use each other.',
      severity: 'error',
      from: { path: '^client-angular/src/app/modules/([^/]+)/' },
      to: { path: '^client-angular/src/app/modules/', pathNot: '^client-angular/src/app/modules/$1/' },
    },
    {
      name: 'client-modules-listed',
      comment: 'Of the modules of meetings, everybody else knows the list.',
      severity: 'error',
      from: { path: '^client-angular/src/app/', pathNot: '^client-angular/src/app/modules/' },
      to: { path: '^client-angular/src/app/modules/[^/]+/' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    parser: 'tsc',
    exclude: { path: '\\.spec\\.ts$' },
  },
};
