export default {
  name: "Greet",
  async run({ inputs }) {
    console.log(`Greeting ${inputs.name}`);
    return { message: `Hello ${inputs.name}` };
  },
};
