import { checkBytes } from '../check.ts'
import { type Case, caseOf } from './case.ts'

const paths: readonly string[] = [
  ...['', '/', '/a', '/a/', '/a/b/c', '/a//b', '/a/../b', '/./a', 'a/b', '%2Fmy%2Ftest', '/a%2fb', '/%61'],
  ...['/a+b', '/a%20b', '/a%00b', '/%C3%A9', '/é', '/a%25b', '/a%3Fb', '/a%23b', '/a&b=c', '/a:b', '/a@b'],
  ...['/%', '/%zz', '/%4', '/a%', '/%ff', '/%C3', '/%ED%A0%80', '/%F4%90%80%80', '/a%ff%fe/%80'],
  ...['/a?', '/a?b', '/a?b=', '/a?=b', '/a?b=c', '/a?b=c&b=d', '/a?b&b', '/a?&&b=c&', '/a?b=c=d', '/a??b'],
  ...[
    '/a?b=c+d',
    '/a?b+c=d',
    '/a?b=%20',
    '/a?b=%2B',
    '/a?%62=c',
    '/a?b=%26',
    '/a?b=é',
    '/a?b=%ff',
    '/a?%ff=1',
  ],
  ...['/a?__proto__=1', '/a?constructor=1&toString=2', '/a?a[b]=1', '/a?b=c/d?e', '/a?B=1&b=2', '/a?b=%00'],
  ...['/__proto__/constructor', '///x', '//', '*', '/a b'],
]
const laterPaths: readonly string[] = [
  ...['//x/people', '/a#b', '/a?b#c', '#a', 'a:b', ':a', 'http://h/p?q=1', '/a\u0001b'],
  ...['/a?b=%zz', '/a?b=1;c=2', '/a?%', '/a?b=%', '/a?c=1&b=%4'],
]

export const pathCases: readonly Case[] = [
  ...paths.map((path) => caseOf(`path ${path}`, checkBytes({ path }), undefined)),
  ...laterPaths.map((path) => caseOf(`path ${path}`, checkBytes({ path }), 'later-paths')),
]
