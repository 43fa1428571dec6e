/** What we use of jstat, which brings no types. */
declare module 'jstat' {
  interface Distribution {
    cdf(x: number, ...parameters: readonly number[]): number
    inv(probability: number, ...parameters: readonly number[]): number
  }
  const library: { readonly jStat: { readonly normal: Distribution; readonly studentt: Distribution } }
  // biome-ignore lint/style/noDefaultExport: jstat is CommonJS, and its exports are the default one here
  export default library
}
