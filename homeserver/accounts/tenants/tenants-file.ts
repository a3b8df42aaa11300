/** The file with the tenants of an instance and their tariffs, as docs/tenants.md describes it. */
import { open } from 'node:fs/promises';
import { z } from 'zod';
import { displayName } from '../../../protocol/display-text.ts';
import { moduleNames } from '../../../protocol/modules/list.ts';

/** The limits of a tenant; what is absent is not limited. */
export interface Tariff {
  readonly id: string;
  /** People in one meeting at the same time. */
  readonly participants?: number | undefined;
  /** Length of one meeting. */
  readonly hours?: number | undefined;
  /** What all people of the tenant keep altogether, in bytes. */
  readonly storageBytes?: number | undefined;
  /** Modules that are not there. */
  readonly withoutModules: string[];
}

export interface Tenant {
  readonly id: string;
  readonly name: string;
  /** `#rrggbb`. */
  readonly colour: string;
  /** Addresses of pages. */
  readonly imprint?: string | undefined;
  readonly privacy?: string | undefined;
  /** Id of its tariff; without one nothing is limited. */
  readonly tariff?: string | undefined;
}

export interface TenantsFile {
  readonly tenants: readonly Tenant[];
  readonly tariffs: readonly Tariff[];
}

/** The file does not make a list of tenants. The message says where and why. */
export class TenantsFileError extends Error {
  override readonly name = 'TenantsFileError';
}

/** Longer than any list of 1,000 tenants. */
const MAX_BYTES = 2 * 1024 * 1024;
const MAX_TENANTS = 1_000;
const MAX_TARIFFS = 100;
const MAX_ISSUES = 10;

/**
 * An id that stands in a claim: plain ASCII letters and digits, so that no two look the same. Compared as it is: what the
 * identity provider says in another case is another id.
 */
export const tenantIdSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be 1 to 63 letters, digits, dots, dashes and underscores (ASCII)');

const pageSchema = z
  .url({ protocol: /^https?$/, error: 'must be the address of a web page' })
  .max(2_000)
  .refine((text) => {
    const { username, password } = new URL(text);
    return username === '' && password === '';
  }, 'must not contain credentials');

const tenantSchema = z.strictObject({
  id: tenantIdSchema,
  name: z
    .string()
    .max(100)
    .refine((text) => displayName(text) === text, 'must be a name in one line without blanks around it'),
  colour: z.string().regex(/^#[0-9a-fA-F]{6}$/, 'must be a colour such as #1f6feb'),
  imprint: pageSchema.optional(),
  privacy: pageSchema.optional(),
  tariff: tenantIdSchema.optional(),
});

const tariffSchema = z.strictObject({
  id: tenantIdSchema,
  participants: z.number().int().min(1).max(100_000).optional(),
  hours: z.number().positive().max(8_784).optional(),
  storageBytes: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  withoutModules: z.array(z.enum(moduleNames)).max(100).default([]),
});

const fileSchema = z
  .strictObject({
    tenants: z.array(tenantSchema).min(1).max(MAX_TENANTS),
    tariffs: z.array(tariffSchema).max(MAX_TARIFFS).default([]),
  })
  .superRefine(({ tenants, tariffs }, context) => {
    for (const [name, list] of [
      ['tenants', tenants],
      ['tariffs', tariffs],
    ] as const) {
      const seen = new Set<string>();
      for (const [index, { id }] of list.entries()) {
        // Ids that differ by case only would be mistaken for each other.
        if (seen.has(id.toLowerCase())) {
          context.addIssue({
            code: 'custom',
            path: [name, index, 'id'],
            message: 'is there twice, perhaps in another case',
          });
        }
        seen.add(id.toLowerCase());
      }
    }
    const known = new Set(tariffs.map(({ id }) => id));
    for (const [index, { tariff }] of tenants.entries()) {
      if (tariff === undefined || known.has(tariff)) continue;
      context.addIssue({ code: 'custom', path: ['tenants', index, 'tariff'], message: 'is not among the tariffs' });
    }
  });

/** @throws TenantsFileError */
export function parseTenantsFile(text: string): TenantsFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new TenantsFileError('The file with the tenants is not JSON.');
  }
  const parsed = fileSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.slice(0, MAX_ISSUES);
  const lines = issues.map(({ path, message }) => `  ${path.map(String).join('.') || 'the file'}: ${message}`);
  throw new TenantsFileError(`The file with the tenants is not right:\n${lines.join('\n')}`);
}

/** @throws TenantsFileError */
export async function readTenantsFile(file: string): Promise<TenantsFile> {
  let text: string;
  try {
    const handle = await open(file);
    try {
      const { size } = await handle.stat();
      if (size > MAX_BYTES) throw new TenantsFileError('The file with the tenants is longer than 2 MiB.');
      text = await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof TenantsFileError) throw error;
    throw new TenantsFileError(`The file with the tenants (HANSETAG_TENANTS_FILE) cannot be read: ${file}`, {
      cause: error,
    });
  }
  return parseTenantsFile(text);
}
