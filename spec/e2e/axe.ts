/** axe-core in a page: what assistive technology would stumble over. And what it can not find: focus, fit, motion. */
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { z } from 'zod';

const AXE = readFileSync(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const CHECKS = readFileSync(new URL('in-page.js', import.meta.url), 'utf8');
/** WCAG 2.2 on levels A and AA with what came before it, and what axe calls best practice. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'];
/** Fewer rules than this apply to no page: nothing was looked at. */
const LEAST_RULES = 10;

const resultSchema = z.object({
  passes: z.array(z.object({ id: z.string() })),
  violations: z.array(
    z.object({
      id: z.string(),
      help: z.string(),
      nodes: z.array(z.object({ html: z.string(), failureSummary: z.string().optional() })),
    }),
  ),
});
const focusSchema = z.object({ name: z.string(), ring: z.number(), inView: z.boolean() }).nullable();

async function ask(page: Page, check: string): Promise<unknown> {
  if (!(await page.evaluate(() => 'hansetagChecks' in globalThis))) await page.evaluate(CHECKS);
  return page.evaluate(`hansetagChecks.${check}`);
}

/** @returns a sentence for each thing that breaks a rule */
export async function violations(page: Page): Promise<string[]> {
  await ask(page, 'settled()');
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(AXE);
  const options = { runOnly: { type: 'tag', values: RULES }, rules: { 'target-size': { enabled: true } } };
  const { passes, violations: found } = resultSchema.parse(
    await page.evaluate(`axe.run(document, ${JSON.stringify({ ...options, resultTypes: ['violations'] })})`),
  );
  if (passes.length < LEAST_RULES) throw new Error(`axe has looked at ${String(passes.length)} rules only.`);
  return found.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${help}: ${html.slice(0, 200)} ${failureSummary ?? ''}`),
  );
}

/** What stands beyond the edges of the page, or would have to be scrolled to sideways. */
export async function beyondEdges(page: Page): Promise<string[]> {
  await ask(page, 'settled()');
  return z.array(z.string()).parse(await ask(page, 'beyond()'));
}

/** The element with the focus and the width of its ring in px; null when nothing has the focus. */
export async function focusOf(page: Page): Promise<z.infer<typeof focusSchema>> {
  return focusSchema.parse(await ask(page, 'focus()'));
}

/** How many elements have transitions or animations. */
export async function movingElements(page: Page): Promise<number> {
  return z.number().parse(await ask(page, 'moving()'));
}

export async function borderOf(page: Page, testId: string): Promise<string> {
  return z.string().parse(await ask(page, `border(${JSON.stringify(testId)})`));
}
