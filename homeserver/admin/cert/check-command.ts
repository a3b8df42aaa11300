/** `cert check`. */
import type { X509Certificate } from 'node:crypto';
import { readAnchors } from '../../../federation/trust/certificate.ts';
import { checkProfile } from '../../../federation/trust/profile.ts';
import { Revocation } from '../../../federation/trust/revocation.ts';
import { checkChain } from '../../../federation/trust/statement.ts';
import { TrustError } from '../../../federation/trust/trust-error.ts';
import { readText } from '../../base/whole-files.ts';
import { revocationSource } from '../../engine/trust/revocation-source.ts';
import type { RevocationWeb } from '../../engine/trust/revocation-source.ts';
import { CommandError, EXIT } from '../command.ts';
import type { Command } from '../command.ts';
import { readSettings, settingOptions } from '../config.ts';
import { issuerOf, nameOf } from './certificates.ts';
import { day } from './import-command.ts';
import { readStored } from './store.ts';

const DAY_MS = 24 * 60 * 60_000;
const WARN_DAYS = 30;

/** One thing that was looked at. */
interface Finding {
  readonly state: 'good' | 'wrong' | 'soon' | 'not checked';
  readonly text: string;
}

const MARKS: Readonly<Record<Finding['state'], string>> = {
  good: 'ok',
  wrong: 'WRONG',
  soon: 'SOON',
  'not checked': '-',
};

export const check: Command = {
  summary: 'Checks the certificate as another organisation does',
  details:
    'Looks whether the key belongs to the certificate, whether it is for this server and keeps to the profile, when it\n' +
    'ends, and, with the authorities that you trust yourselves, whether a path leads to one of them and nothing on it\n' +
    'is revoked. Nothing is changed.',
  options: {
    ...settingOptions('server-name', 'cert', 'key', 'anchors'),
    offline: { help: 'does not ask the authorities whether something is revoked' },
  },
  run: async (args) => {
    const settings = readSettings(args);
    const serverName = settings.require('server-name');
    const files = { certFile: settings.require('cert'), keyFile: settings.require('key') };
    const { chain, keys, key } = await readStored(files);
    const [own] = chain;
    if (own === undefined) {
      throw new CommandError(
        `There is no certificate in ${files.certFile}. Put it there: npx hansetag cert import FILE`,
      );
    }
    const findings: Finding[] = [
      key === undefined
        ? { state: 'wrong', text: `none of the ${String(keys.length)} keys in ${files.keyFile} belongs to it` }
        : { state: 'good', text: 'its key is there' },
      profileOf(own, serverName),
      endOf(own),
      await pathOf(chain, serverName, settings.get('anchors'), args.isSet('offline') ? undefined : settings.web()),
    ];
    console.log(`${nameOf(own)}\nissued by ${issuerOf(own)}\n`);
    for (const { state, text } of findings) console.log(`  ${MARKS[state].padEnd(7)}${text}`);
    if (findings.some(({ state }) => state === 'wrong')) return EXIT.failed;
    return findings.some(({ state }) => state === 'soon') ? EXIT.soon : EXIT.good;
  },
};

function profileOf(own: X509Certificate, serverName: string): Finding {
  try {
    const organisation = checkProfile(own, serverName);
    return { state: 'good', text: `it is for ${serverName} of ${organisation} and keeps to the profile` };
  } catch (error) {
    return wrong(error);
  }
}

function endOf({ validFromDate, validToDate }: X509Certificate): Finding {
  const now = Date.now();
  if (validFromDate.getTime() > now)
    return { state: 'wrong', text: `it is valid from ${validFromDate.toISOString()} on` };
  if (validToDate.getTime() <= now) return { state: 'wrong', text: `it has expired on ${day(validToDate)}` };
  const days = Math.floor((validToDate.getTime() - now) / DAY_MS);
  const text = `it ends on ${day(validToDate)}, in ${String(days)} days`;
  return days < WARN_DAYS
    ? { state: 'soon', text: `${text}. Renew it: npx hansetag cert renew` }
    : { state: 'good', text };
}

async function pathOf(
  chain: readonly X509Certificate[],
  serverName: string,
  anchorsFile: string | undefined,
  web: RevocationWeb | undefined,
): Promise<Finding> {
  if (anchorsFile === undefined) {
    return { state: 'not checked', text: 'the path to an authority: give them by --anchors or HANSETAG_TRUST_ANCHORS' };
  }
  try {
    const anchors = readAnchors(await readText(anchorsFile));
    const revocation = web
      ? new Revocation(revocationSource(web))
      : { check: () => Promise.resolve({ status: 'good' as const, until: Infinity }) };
    await checkChain(chain, { serverName, anchors, now: Date.now(), revocation });
    const text = 'the path leads to an authority that you trust';
    return { state: 'good', text: web ? `${text}, and nothing on it is revoked` : text };
  } catch (error) {
    return wrong(error);
  }
}

function wrong(error: unknown): Finding {
  const isKnown = error instanceof TrustError || (error instanceof Error && 'code' in error);
  if (!isKnown) throw error;
  return { state: 'wrong', text: error.message };
}
