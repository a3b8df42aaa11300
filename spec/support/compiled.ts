/** Where Node keeps what it has compiled, for processes of ours that get an environment of their own. */
const folder = process.env['NODE_COMPILE_CACHE'];

export const COMPILED: Readonly<Record<string, string>> = folder === undefined ? {} : { NODE_COMPILE_CACHE: folder };
