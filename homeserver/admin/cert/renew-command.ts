/** `cert renew`. */
import 'reflect-metadata';
import type { X509Certificate } from 'node:crypto';
import { X509Certificate as Parsed } from '@peculiar/x509';
import { CommandError, EXIT } from '../command.ts';
import type { Command } from '../command.ts';
import { readSettings, settingOptions } from '../config.ts';
import { keyType, SUBJECT, TYPE, writeRequest } from './key-command.ts';
import { nameOfKey, newPrivateKey } from './request.ts';
import type { Subject } from './request.ts';
import { addKey, readStored, requireTwoFiles } from './store.ts';

export const renew: Command = {
  summary: 'Makes the next key and its request, while the certificate stays in use',
  details:
    'The next key is added to the file of keys, so the server goes on with the certificate that it has until the next\n' +
    'one is imported. The request has the same names as the certificate unless you give others. Asked again before\n' +
    'the import, it makes another request for the same key.',
  options: { ...settingOptions('server-name', 'cert', 'key'), type: TYPE, ...SUBJECT },
  run: async (args) => {
    const settings = readSettings(args);
    const files = { certFile: settings.require('cert'), keyFile: settings.require('key') };
    requireTwoFiles(files);
    const type = keyType(args);
    const { chain, keys, key } = await readStored(files);
    const [own] = chain;
    if (own === undefined || key === undefined) {
      throw new CommandError(
        `There is nothing to renew: ${files.certFile} has no certificate with a key in ${files.keyFile}. ` +
          'Begin with: npx hansetag cert key',
      );
    }
    const waiting = keys.findLast((known) => !known.equals(key));
    const next = waiting ?? newPrivateKey(type);
    if (waiting === undefined) await addKey(files.keyFile, keys, next);
    const text = waiting === undefined ? `The next key (${nameOfKey(next)}) is in` : 'The next key is already in';
    console.log(`${text} ${files.keyFile}.`);
    await writeRequest(args, settings, next, files.keyFile, subjectOf(own));
    return EXIT.good;
  },
};

function subjectOf(certificate: X509Certificate): Subject | undefined {
  const name = new Parsed(Uint8Array.from(certificate.raw)).subjectName;
  const [organisation] = name.getField('O');
  if (organisation === undefined) return undefined;
  const first = (type: string): string | undefined => name.getField(type)[0];
  return { organisation, unit: first('OU'), country: first('C'), state: first('ST'), locality: first('L') };
}
