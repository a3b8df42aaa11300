/** A helper of Jasmine for many specs in one process: none of them has to wait within its time for PostgreSQL's start. */
import { testDatabase } from './database.ts';

/** On a busy machine, in ms. */
const START_MS = 180_000;

beforeAll(async () => {
  const { close } = await testDatabase();
  await close();
}, START_MS);
