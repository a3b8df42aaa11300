/** `npm run fuzz -- --face F --minutes M --seed S`: hostile input for one face, see spec/hostile/fuzz/fuzz.ts. */
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
await import('../../spec/hostile/fuzz/fuzz.ts');
process.exit();
