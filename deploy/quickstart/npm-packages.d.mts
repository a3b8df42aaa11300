export declare function areInstalled(root: string): boolean;

export declare function installNpmPackages(
  root: string,
  varDir: string,
  progress: (text: string) => void,
): Promise<void>;
