import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { installPackages, missingPackages } from '../../deploy/quickstart/debian-packages.mjs';

describe('Debian packages', () => {
  let folder: string;
  let path: string | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hansetag-debian-'));
    path = process.env['PATH'];
    process.env['PATH'] = `${folder}${delimiter}${path ?? ''}`;
  });

  afterEach(() => {
    process.env['PATH'] = path;
    rmSync(folder, { recursive: true, force: true });
  });

  /** What dpkg knows here, in the words of dpkg-query. */
  function dpkgSays(...lines: string[]): void {
    const program = join(folder, 'dpkg-query');
    writeFileSync(program, `#!/bin/sh\ncat <<'END'\n${lines.join('\n')}\nEND\nexit 1\n`);
    chmodSync(program, 0o755);
  }

  it('are missing when unknown or removed, and else not', () => {
    dpkgSays('g++ installed', 'meson config-files');
    expect(missingPackages(['g++', 'meson', 'ninja-build'])).toEqual(['meson', 'ninja-build']);
  });

  it('are asked for by the exact command where the person is not root', async () => {
    spyOn(process as Required<Pick<typeof process, 'getuid'>>, 'getuid').and.returnValue(1000);
    await expectAsync(installPackages(['meson', 'ninja-build'], () => undefined)).toBeRejectedWithError(
      /\n {2}sudo apt-get install -y --no-install-recommends meson ninja-build\n/,
    );
  });
});
