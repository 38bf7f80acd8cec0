declare module 'mime-types' {
  /** MIME type of a file name or extension, false when unknown. */
  export function lookup(fileNameOrExtension: string): string | false;
}
