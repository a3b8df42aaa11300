/** `npm run soak -- --seed N --minutes M`: three servers under random use and trouble, see spec/soak/soak.ts. */
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
await import('../../spec/soak/soak.ts');
process.exit();
