import { program } from './commands/program.ts'

await program().parseAsync(process.argv)
