/**
 * Changes to the mediasoup worker's sources, made in copies of the files; the npm package stays as it was published.
 *
 * `file` is relative to the worker's folder. `find` must occur in it exactly once and becomes `replace`.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeIfChanged } from './units.mjs';

export const PATCHES = [
  {
    // The callback answers for every return of the BIO, not only for the bare code: the operation is or-ed into it
    // (BIO_set_callback_ex(3)). Answering 1 to a control call says "yes" to OpenSSL's question for kernel TLS, which
    // Debian's OpenSSL asks, and OpenSSL then writes through a buffer that it never allocated.
    file: 'src/RTC/DtlsTransport.cpp',
    find: '(operationType == BIO_CB_RETURN)',
    replace: '((operationType & BIO_CB_RETURN) != 0)',
  },
  {
    // All consumers of a producer share the packet's payload descriptor. A consumer that rewrites picture ids leaves
    // its encoder there; a pipe consumer sets none, stores the foreign one for retransmission, and resends packets
    // with picture ids of another stream. So the encoder goes when the payload is restored after each consumer.
    // AV1 has the same pattern, but in 3.27.1 nothing ever creates its encoder.
    file: 'src/RTC/RTP/Codecs/VP8.cpp',
    find: 'void VP8::PayloadDescriptorHandler::Restore(RTP::Packet* packet)\n\t\t\t{\n\t\t\t\tMS_TRACE();\n',
    replace:
      'void VP8::PayloadDescriptorHandler::Restore(RTP::Packet* packet)\n\t\t\t{\n\t\t\t\tMS_TRACE();\n\n' +
      '\t\t\t\tthis->payloadDescriptor->encoder.reset();\n',
  },
];

/** A source file does not look as a patch expects: mediasoup changed, and the patch has to be looked at again. */
export class PatchError extends Error {
  constructor(file, occurrences) {
    super(
      `The text to be patched occurs ${occurrences} times instead of once in mediasoup's worker/${file}. ` +
        'This version of mediasoup needs a new look at deploy/worker/patches.mjs.',
    );
    this.name = 'PatchError';
    this.code = 'PATCH_DOES_NOT_FIT';
  }
}

/**
 * Writes the changed copies of the files under `patchedDir`, at the same relative paths. A copy that is already right
 * keeps its time, so that a continued build does not compile it again.
 *
 * @returns the paths of the files, relative to the worker's folder
 * @throws PatchError if a patch does not fit.
 */
export function applyPatches(workerDir, patchedDir) {
  for (const { file, find, replace } of PATCHES) {
    const source = readFileSync(join(workerDir, file), 'utf8');
    const occurrences = source.split(find).length - 1;
    if (occurrences !== 1) {
      throw new PatchError(file, occurrences);
    }
    const target = join(patchedDir, file);
    const patched = source.replace(find, () => replace);
    mkdirSync(dirname(target), { recursive: true });
    writeIfChanged(target, patched);
  }
  return PATCHES.map(({ file }) => file);
}
