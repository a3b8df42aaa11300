/** For something large that most servers never need: made on first use, once. */
export function lazy<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make().catch((error: unknown) => {
      // The next caller tries again.
      made = undefined;
      throw error;
    });
    return made;
  };
}
