export declare function missingPackages(packages: readonly string[]): string[];

export declare function installPackages(packages: readonly string[], progress: (line: string) => void): Promise<void>;
