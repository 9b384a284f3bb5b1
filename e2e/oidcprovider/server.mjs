// node's oidc-provider on loopback, for one test. Its last argument is the module's main
// file; standard input has the clients (RFC 7591's metadata) as JSON. It prints its issuer,
// and ends when standard input does.
import { createServer } from 'node:http';
import { randomBytes } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { createInterface } from 'node:readline';

const { Provider } = await import(pathToFileURL(process.argv.at(-1)).href);

const input = createInterface({ input: process.stdin });
const clients = JSON.parse(await new Promise((resolve) => input.once('line', resolve)));
input.on('close', () => process.exit(0));

// What came to the endpoints and what was said, told at /calls: a test's own secrets.
const calls = [];

const configuration = {
  clients,
  cookies: { keys: [randomBytes(32).toString('hex')] },
  scopes: ['openid', 'offline_access', 'ellip'],
  claims: { openid: ['sub'], email: ['email'], profile: ['name'] },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.org`, name: id }) }),
  pkce: { required: () => true },
  rotateRefreshToken: () => true,
  ttl: { AccessToken: 300, RefreshToken: 86400, DeviceCode: 120 },
  features: {
    devInteractions: { enabled: true }, // any name and any password log in
    deviceFlow: { enabled: true },
    revocation: { enabled: true },
    introspection: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    // Access tokens are JWTs for an API (RFC 8707, RFC 9068), but for a client of that name.
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx, client) => (client.clientId === 'opaque' ? undefined : 'https://api.example.org'),
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, audience) => ({
        audience, scope: 'openid email profile offline_access ellip', accessTokenTTL: 300, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
};

const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, configuration);
provider.use(async (ctx, next) => {
  if (ctx.path === '/calls') {
    ctx.body = calls;
    return;
  }
  await next();
  const { route, body, params } = ctx.oidc ?? {};
  if (!body || ctx.method !== 'POST') return;
  calls.push({
    route,
    form: { ...body, ...params },
    header: ctx.get('authorization').split(' ')[0],
    status: ctx.status,
    said: typeof ctx.body === 'object' ? ctx.body : null,
  });
});
server.on('request', provider.callback());
console.log(issuer);
