/**
 * Reports to a person on the terminal and, as JSON, to the file that HANSETAG_SPEC_RESULT names.
 * Used by deploy/quickstart/test.ts, which adds up the numbers of all kinds of tests.
 */
import { writeFileSync } from 'node:fs';

const SLOW_MS = 5_000;
/** So many files are named of those that took longest. */
const SLOW_FILES = 5;
const STACK_LINES = 12;
const SPEC_DIR = new URL('..', import.meta.url).href;

export default class Reporter implements jasmine.CustomReporter {
  #passed = 0;
  #failed = 0;
  #pending = 0;
  /** How many suites are around what runs now. */
  #depth = 0;
  /** By file, with what is done before and after its specs, in ms. */
  readonly #took = new Map<string, number>();

  suiteStarted(): void {
    this.#depth += 1;
  }

  specDone(result: jasmine.SpecResult): void {
    if (result.status === 'passed') {
      this.#passed += 1;
      const took = result.duration ?? 0;
      if (took >= SLOW_MS) console.log(`  ${(took / 1000).toFixed(0)} s: ${result.fullName}`);
    } else if (result.status === 'failed') {
      this.#fail(result.fullName, result.failedExpectations);
    } else if (result.status === 'pending') {
      this.#pending += 1;
      console.log(`  pending: ${result.fullName} (${result.pendingReason || 'no reason'})`);
    }
  }

  suiteDone(result: jasmine.SuiteResult): void {
    this.#depth -= 1;
    if (this.#depth === 0) {
      const file = result.filename.replace(SPEC_DIR, '');
      this.#took.set(file, (this.#took.get(file) ?? 0) + (result.duration ?? 0));
    }
    if (result.failedExpectations.length > 0) this.#fail(result.fullName, result.failedExpectations);
  }

  jasmineDone(result: jasmine.JasmineDoneInfo): void {
    if (result.failedExpectations.length > 0) this.#fail('outside of the specs', result.failedExpectations);
    if (result.overallStatus === 'incomplete') this.#fail(`incomplete: ${result.incompleteReason}`, []);
    const counts = { passed: this.#passed, failed: this.#failed, pending: this.#pending };
    const file = process.env['HANSETAG_SPEC_RESULT'];
    if (file !== undefined) writeFileSync(file, JSON.stringify(counts));
    const slow = [...this.#took].toSorted(([, a], [, b]) => b - a).slice(0, SLOW_FILES);
    console.log(`  longest: ${slow.map(([name, ms]) => `${name} ${(ms / 1000).toFixed(0)} s`).join(', ')}`);
    const order = result.order.random ? `seed ${result.order.seed}` : 'in the order of the files';
    console.log(`  ${String(counts.passed)} passed, ${String(counts.failed)} failed, ${order}`);
  }

  #fail(name: string, expectations: readonly jasmine.FailedExpectation[]): void {
    this.#failed += 1;
    console.log(`\n  FAILED: ${name}`);
    for (const { message, stack } of expectations) {
      console.log(`    ${message}`);
      const lines = stack.split('\n').filter((line) => line.includes(' at ') && !line.includes('node_modules/jasmine'));
      for (const line of lines.slice(0, STACK_LINES)) console.log(`    ${line.trim()}`);
    }
  }
}
