/** Steps of the set-up as a person sees them: what is done, how far it is, how long it took. */

const REFRESH_MS = 200;
/** Where the output is not a terminal, a sign of life is printed this often. */
const QUIET_REFRESH_MS = 30_000;

/** An error whose message is meant for the person at the terminal; no stack is shown. */
export class SetUpError extends Error {
  constructor(message) {
    super(message);
    this.name = 'SetUpError';
    this.code = 'SET_UP';
  }
}

/** `0.4 s`, `12 s`, `3 min 20 s`. */
export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${seconds.toFixed(0)} s`;
  return `${String(Math.floor(seconds / 60))} min ${String(Math.floor(seconds % 60))} s`;
}

/**
 * Does one step and shows it with the time it takes. A step that had nothing to do leaves one line.
 *
 * @param title what is done, such as `Media worker`
 * @param work gets a function that shows how far it is; resolves to the words behind the step's name when done
 */
export async function step(title, work) {
  const started = Date.now();
  const terminal = process.stdout.isTTY === true;
  let state = '';
  let shown = '';
  let lastShown = started;

  function show() {
    const line = `  ${title}${state === '' ? '' : `: ${state}`} (${duration(Date.now() - started)})`;
    if (terminal) {
      process.stdout.write(`\r\u001b[2K${line.slice(0, (process.stdout.columns ?? 80) - 1)}`);
    } else if (Date.now() - lastShown >= QUIET_REFRESH_MS && state !== shown) {
      process.stdout.write(`${line}\n`);
      shown = state;
      lastShown = Date.now();
    }
  }

  const timer = setInterval(show, REFRESH_MS);
  timer.unref();
  try {
    const result = await work((text) => {
      state = text;
    });
    end(`✓ ${title}${result ? `: ${result}` : ''} (${duration(Date.now() - started)})`);
  } catch (error) {
    end(`✗ ${title} (${duration(Date.now() - started)})`);
    throw error;
  } finally {
    clearInterval(timer);
  }

  function end(line) {
    clearInterval(timer);
    process.stdout.write(`${terminal ? '\r\u001b[2K' : ''}${line}\n`);
  }
}
