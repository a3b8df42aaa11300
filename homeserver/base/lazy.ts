/** For what takes much memory and most servers never need: it is made when it is asked for, once. */
export function lazy<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make().catch((error: unknown) => {
      // The next one who asks has it tried again.
      made = undefined;
      throw error;
    });
    return made;
  };
}
