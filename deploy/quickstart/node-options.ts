/** Options of Node for our servers, as docs/configuration.md has them. */

/** TypeScript is run as it is. */
export const QUIET: readonly string[] = ['--disable-warning=ExperimentalWarning'];

/**
 * Node takes memory generously: it lets the heap grow to several times of what is in use before it looks for garbage.
 * A server that shares its machine with a database does better with less.
 */
export const SMALL_HEAP: readonly string[] = [...QUIET, '--max-semi-space-size=4', '--heap-growing-percent=30'];
