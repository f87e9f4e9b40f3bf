// Reads Adaptive Cards as a JSON array on stdin, parses them with Microsoft's own library, and prints what it found wrong.
const cards = require(process.argv[2]);

let input = "";
process.stdin.on("data", (data) => (input += data));
process.stdin.on("end", () => {
  const findings = JSON.parse(input).map((json) => {
    const context = new cards.SerializationContext(cards.Versions.v1_4);
    const card = new cards.AdaptiveCard();
    card.parse(json, context);
    const parsed = Array.from({ length: context.eventCount }, (_, n) => context.getEventAt(n).message);
    const valid = card.validateProperties().validationEvents.map((event) => event.message);
    return { elements: card.getItemCount(), actions: card.getActionCount(), wrong: [...parsed, ...valid] };
  });
  console.log(JSON.stringify(findings));
});
