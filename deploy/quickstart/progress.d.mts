export declare class SetUpError extends Error {
  readonly code: 'SET_UP';
  constructor(message: string);
}

export declare function duration(ms: number): string;

export declare function step(
  title: string,
  work: (progress: (text: string) => void) => Promise<string | undefined>,
): Promise<void>;
