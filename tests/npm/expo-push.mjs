// Sends one message with `expo-server-sdk`, or asks for receipts where ids follow:
// node expo-push.mjs FOLDER-OF-THE-SDK TOKEN ACCESS-TOKEN [ID ...]; prints what it understood.
const [, , sdk, to, accessToken, ...ids] = process.argv
const { Expo } = await import(`${sdk}/build/ExpoClient.js`)
const expo = new Expo({ accessToken })
const said = { token: Expo.isExpoPushToken(to) }
try {
  if (ids.length) {
    const receipts = await expo.getPushNotificationReceiptsAsync(ids)
    const errors = Object.entries(receipts).map(([id, one]) => [id, one.details?.error ?? one.status])
    console.log(JSON.stringify({ ...said, receipts: Object.fromEntries(errors) }))
  } else {
    const [ticket] = await expo.sendPushNotificationsAsync([{ to, body: 'World' }])
    console.log(JSON.stringify({ ...said, status: ticket.status, id: ticket.id, error: ticket.details?.error }))
  }
} catch (refusal) {
  console.log(JSON.stringify({ ...said, status: 'refused', error: refusal.code }))
}
