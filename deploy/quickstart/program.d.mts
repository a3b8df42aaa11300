export interface ProgramOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly onLine?: (line: string) => void;
  readonly onStart?: (pid: number) => void;
}

export declare function runProgram(
  program: string,
  args: readonly string[],
  options?: ProgramOptions,
): Promise<{ code: number | undefined; output: string }>;

export declare function endPrograms(): void;
