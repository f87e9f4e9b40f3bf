// Sends one message with `expo-server-sdk`: node expo-push.mjs FOLDER-OF-THE-SDK TOKEN ACCESS-TOKEN; prints what it understood.
const [, , sdk, to, accessToken] = process.argv
const { Expo } = await import(`${sdk}/build/ExpoClient.js`)
const said = { token: Expo.isExpoPushToken(to) }
try {
  const [ticket] = await new Expo({ accessToken }).sendPushNotificationsAsync([{ to, body: 'World' }])
  console.log(JSON.stringify({ ...said, status: ticket.status, id: ticket.id, error: ticket.details?.error }))
} catch (refusal) {
  console.log(JSON.stringify({ ...said, status: 'refused', error: refusal.code }))
}
