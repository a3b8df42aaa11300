import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';

const ROOT = join(import.meta.dirname, '../..');
const CRUISER = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs');
const PARTS = ['protocol', 'federation', 'sfu', 'homeserver', 'client-angular'];

const reportSchema = z.object({
  summary: z.object({
    violations: z.array(z.object({ from: z.string(), rule: z.object({ name: z.string() }) })),
    totalCruised: z.number(),
  }),
});

describe('The rules of the layers', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hansetag-layers-'));
    for (const file of ['.dependency-cruiser.mjs', 'tsconfig.json']) await cp(join(ROOT, file), join(folder, file));
    for (const part of PARTS) await mkdir(join(folder, part));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** A file for each path, which imports what is said. @returns which rules the files break, as `file: rule` */
  async function broken(files: Record<string, string>): Promise<string[]> {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), `${text}\nexport type Here = string;\nexport const here = 1;\n`);
    }
    const args = [CRUISER, '--config', '.dependency-cruiser.mjs', '--output-type', 'json', ...PARTS];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder, maxBuffer: 64 * 1024 * 1024 });
    const { summary } = reportSchema.parse(JSON.parse(stdout));
    expect(summary.totalCruised).toBeGreaterThanOrEqual(Object.keys(files).length);
    return summary.violations.map(({ from, rule }) => `${from}: ${rule.name}`).sort();
  }

  it('let each layer use those below it', async () => {
    expect(
      await broken({
        'homeserver/main.ts': "import './app/server.ts';\nimport './config.ts';",
        'homeserver/config.ts': "import type { Here } from './features/media/index.ts';",
        'homeserver/app/server.ts': "import '../meetings/index.ts';\nimport type { Here } from '../config.ts';",
        'homeserver/meetings/index.ts': "import '../features/media/index.ts';\nimport '../../sfu/client.ts';",
        'homeserver/features/media/index.ts': "import '../../engine/rooms/rooms.ts';\nimport './store.ts';",
        'homeserver/features/media/store.ts': "import '../../database/database.ts';",
        'homeserver/engine/rooms/rooms.ts': "import '../../../federation/event.ts';",
        'homeserver/database/database.ts': '',
        'federation/event.ts': '',
        'sfu/client.ts': "import '../protocol/media.ts';",
        'protocol/media.ts': '',
        'client-angular/src/app/home/home.ts': "import '../shared/icon.ts';\nimport '../../../../protocol/media.ts';",
        'client-angular/src/app/shared/icon.ts': '',
      }),
    ).toEqual([]);
  });

  it('refuse a layer that uses one above it, were it a type only', async () => {
    expect(
      await broken({
        'homeserver/engine/rooms/rooms.ts': "import type { Here } from '../../features/search/search.ts';",
        'homeserver/features/search/search.ts': '',
        'homeserver/base/log.ts': "import '../accounts/accounts.ts';",
        'homeserver/accounts/accounts.ts': "export { here as other } from '../meetings/index.ts';",
        'homeserver/meetings/index.ts': "const later = (): Promise<unknown> => import('../app/server.ts');",
        'homeserver/app/server.ts': '',
        'client-angular/src/app/core/api.ts': "import type { Here } from '../session/session.ts';",
        'client-angular/src/app/session/session.ts': '',
      }),
    ).toEqual([
      'client-angular/src/app/core/api.ts: client-layers',
      'homeserver/accounts/accounts.ts: homeserver-layers',
      'homeserver/base/log.ts: homeserver-layers',
      'homeserver/engine/rooms/rooms.ts: homeserver-layers',
      'homeserver/meetings/index.ts: homeserver-layers',
    ]);
  });

  it('refuse neighbours that use each other, settings that are not handed in, and parts that know too much', async () => {
    expect(
      await broken({
        'homeserver/features/push/rules.ts': "import type { Here } from '../receipts/receipts.ts';",
        'homeserver/features/receipts/receipts.ts': "import type { Here } from '../../config.ts';",
        'homeserver/config.ts': '',
        'homeserver/app/server.ts': "import type { Here } from '../meetings/links.ts';",
        'homeserver/meetings/links.ts': "import '../../sfu/conference.ts';",
        'sfu/conference.ts': "import '../federation/json.ts';",
        'federation/json.ts': "import '../protocol/media.ts';",
        'protocol/media.ts': "import 'node:fs';\nimport '../sfu/link.ts';",
        'sfu/link.ts': '',
        'client-angular/src/app/home/home.ts': "import '../login/login.ts';",
        'client-angular/src/app/login/login.ts': "import type { Here } from '../../../../homeserver/config.ts';",
      }),
    ).toEqual([
      'client-angular/src/app/home/home.ts: client-pages-apart',
      'client-angular/src/app/login/login.ts: client-alone',
      'federation/json.ts: federation-alone',
      'homeserver/app/server.ts: meetings-front',
      'homeserver/features/push/rules.ts: features-apart',
      'homeserver/features/receipts/receipts.ts: config',
      'homeserver/meetings/links.ts: homeserver-and-sfu',
      'protocol/media.ts: protocol-alone',
      'protocol/media.ts: protocol-alone',
      'sfu/conference.ts: sfu-alone',
    ]);
  });

  it("let the client's modules of meetings be known by their list alone, to each other as well", async () => {
    const modules = 'client-angular/src/app/modules';
    expect(
      await broken({
        [`${modules}/modules.ts`]: "import './chat/chat-module.ts';\nimport './hands/hands-module.ts';",
        [`${modules}/chat/chat-module.ts`]: "import './chat.ts';",
        [`${modules}/chat/chat.ts`]: "import type { Here } from '../../../../../protocol/media.ts';",
        'protocol/media.ts': '',
        [`${modules}/hands/hands-module.ts`]: "import type { Here } from '../chat/chat.ts';",
        'client-angular/src/app/meeting/panels.ts':
          "import '../modules/chat/chat.ts';\nimport '../modules/modules.ts';",
        'client-angular/src/app/conference/client.ts': "import '../modules/modules.ts';",
      }),
    ).toEqual([
      'client-angular/src/app/conference/client.ts: client-layers',
      'client-angular/src/app/meeting/panels.ts: client-modules-listed',
      `${modules}/hands/hands-module.ts: client-modules-apart`,
    ]);
  });

  it('keep modules of meetings apart from each other, and from WebSockets, the SFU and HTTP', async () => {
    expect(
      await broken({
        'homeserver/meetings/modules/polls/index.ts':
          "import type { Here } from '../module.ts';\nimport './votes.ts';\nimport '../../people.ts';",
        'homeserver/meetings/modules/polls/votes.ts': "import type { Here } from '../chat/index.ts';",
        'homeserver/meetings/modules/polls/wire.ts':
          "import type { WebSocket } from 'ws';\nimport { request } from 'node:http';\nimport express from 'express';",
        'homeserver/meetings/modules/polls/media.ts': "import type { Here } from '../../../../sfu/client.ts';",
        'homeserver/meetings/modules/chat/index.ts': "import type { Here } from '../../session/session.ts';",
        'homeserver/meetings/modules/module.ts': "import type { Here } from '../../../sfu/client.ts';",
        'homeserver/meetings/modules/list.ts': "import './polls/index.ts';\nimport './chat/index.ts';",
        'homeserver/meetings/session/session.ts': "import { WebSocket } from 'ws';",
        'homeserver/meetings/people.ts': '',
        'sfu/client.ts': '',
      }),
    ).toEqual([
      'homeserver/meetings/modules/chat/index.ts: modules-apart',
      'homeserver/meetings/modules/module.ts: modules-off-the-line',
      'homeserver/meetings/modules/polls/media.ts: modules-off-the-line',
      'homeserver/meetings/modules/polls/votes.ts: modules-apart',
      'homeserver/meetings/modules/polls/wire.ts: modules-off-the-line',
      'homeserver/meetings/modules/polls/wire.ts: modules-off-the-line',
      'homeserver/meetings/modules/polls/wire.ts: modules-off-the-line',
    ]);
  });

  it('refuse a cycle, were it of types only', async () => {
    expect(
      await broken({
        'federation/event.ts': "import type { Here } from './keys.ts';",
        'federation/keys.ts': "import { here as there } from './event.ts';",
      }),
    ).toEqual(['federation/event.ts: no-cycle']);
  });
});
