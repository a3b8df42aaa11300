/** Files with a secret of this server, made at the first start. */
import { readIfThere, SECRET_MODE, writeNew } from './whole-files.ts';

/**
 * The text of a file. When there is none it is made, and its owner alone can read it.
 *
 * @param make the text of a new file
 */
export async function secretFile(file: string, make: () => string): Promise<string> {
  const found = await readIfThere(file);
  if (found !== undefined) return found;
  const text = make();
  await writeNew(file, text, SECRET_MODE);
  return text;
}
