/** Attacks, in a process of its own: what it costs to attack must not be measured. */
import { ATTACKS } from './attacks.ts';
import type { AttackerMessage, AttackOrder } from './messages.ts';

const tell = (message: AttackerMessage): void => void process.send?.(message);

process.on('disconnect', () => process.exit());
process.once('message', (order: AttackOrder) => {
  run(order).catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});

async function run(order: AttackOrder): Promise<void> {
  const open = ATTACKS[order.name];
  if (!open) throw new Error(`There is no attack ${order.name}.`);
  const attack = await open(order);
  const begin = new Promise((resolve) => process.once('message', resolve));
  tell({ type: 'ready' });
  await begin;
  const until = performance.now() + order.forMs;
  let [acts, failed] = [0, 0];
  let failure: string | undefined;
  const repeat = async (): Promise<void> => {
    while (performance.now() < until) {
      await attack.act().then(
        () => (acts += 1),
        (error: unknown) => {
          failed += 1;
          failure ??= String(error);
        },
      );
    }
  };
  const late = new Promise((resolve) => setTimeout(resolve, order.forMs));
  await Promise.race([Promise.all(Array.from({ length: attack.atOnce }, repeat)), late]);
  tell({ type: 'done', acts, failed, ...(failure === undefined ? {} : { failure }) });
}
