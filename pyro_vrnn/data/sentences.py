"""What the voices of `demo-speech` read. Written for this project and dedicated to the public domain (CC0 1.0)."""

import re

_TEXT = """
The ferry leaves at half past seven, so bring a warm coat. My brother planted three apple trees behind the barn.
Could you pass me the salt and the small blue bowl? We walked along the river until the rain began.
The museum closes early on the first Monday of the month. She keeps her letters in a wooden box under the bed.
Nobody noticed that the clock on the wall had stopped. A flock of geese flew low across the frozen lake.
He forgot his umbrella on the train again this morning. The bakery on our street sells bread with walnuts.
I never learned how to whistle with two fingers. Their youngest daughter wants to become a pilot.
The old bridge shook whenever a truck drove over it. Please leave your muddy boots outside the door.
What time does the last bus go back to the village? They painted the kitchen yellow and the hallway green.
A thin layer of dust covered every book in the attic. The judge asked for silence and turned the page.
Our neighbour grows tomatoes on a very narrow balcony. It took us four days to cross the mountains on foot.
The violin sounded better in the empty church. You can borrow my bicycle until the end of the week.
The children built a dam of stones and branches. Somebody has eaten all of the strawberry jam.
I would rather stay at home and read by the fire. The captain wrote down the weather every single hour.
Two men carried the piano up to the fourth floor. Her answer was so quiet that I had to ask again.
The cat sleeps in the basket near the window. We ran out of sugar just before the guests arrived.
Every spring the meadow is full of tiny white flowers. He repairs watches in a shop below the station.
The letter had travelled halfway around the world. Do you remember the name of that little island?
Fresh snow makes the whole town sound softer. The gardener cut the hedge into the shape of a bird.
My grandmother could tell the weather from her knees. The soup needs a little more pepper and some lemon.
A tall stranger stood beside the fountain all evening. The lights went out during the second act of the play.
We found an excellent restaurant behind the market. The river carried the paper boat out of sight.
Turn left at the pharmacy and follow the narrow lane. The photograph was taken long before the war.
I promised to feed the rabbits while they are away. Nothing smells as good as coffee in the morning.
The engineer drew a careful sketch of the valve. She laughed until tears ran down her cheeks.
The dog barked at the mailman from behind the gate. Why did you put the scissors in the freezer?
An owl lives in the hollow oak beside the road. The kettle began to sing on the iron stove.
He counted the coins twice and closed the drawer. There is a hole in the sleeve of my favourite jacket.
The teacher drew a large triangle on the board. Most of the passengers had fallen asleep by midnight.
You should always check the oil before a long drive. The wind blew the washing into the neighbour's garden.
Our train was delayed because of leaves on the track. The queen of the hive is longer than the other bees.
They argued about the map for nearly an hour. A single candle lit the room where we ate.
The carpenter sharpened his chisel on a wet stone. I hope the post office is still open at five.
Nine people squeezed into the tiny elevator. The moon rose slowly over the dark roofs.
He speaks four languages but writes only one. Keep the receipt in case the lamp does not work.
The harbour was crowded with fishing boats that night. We heard footsteps, but the corridor was empty.
Lunch will be served on the terrace at noon. The parrot repeats everything except its own name.
She tied the package with a piece of red string. My uncle drives a tractor older than I am.
The ice was too thin to carry even a child. Take a deep breath and start from the beginning.
The library smells of leather, dust and floor polish. A fox crossed the road right in front of us.
The doctor told him to rest and drink more water. We used to swim in the quarry after school.
Somewhere in the distance a church bell rang twice. The recipe calls for butter, but oil will do.
He opened the window to let the smoke out. The river is low because it has not rained since May.
I cannot find the key to the garden shed. The tailor measured his shoulders without a word.
They moved to the coast when the twins were born. The stairs creak, so walk close to the wall.
A green parcel was waiting on the kitchen table. Our team lost the match in the final minute.
The puppy chewed through the telephone cable. She wears her watch on the inside of her wrist.
Is there any milk left in the refrigerator? The road winds through the valley like a ribbon.
The chess players did not look up when we came in. Old maps show a lake where the airport is now.
He paints landscapes on the lids of cigar boxes. The bus driver knew every passenger by name.
You will need a longer ladder to reach that branch. The concert hall was built entirely of wood.
We picked blackberries until our fingers turned purple. Somebody left a bicycle leaning against the fence.
The astronomer slept by day and worked at night. My shoes were still wet from the walk on the beach.
The company makes buttons out of coconut shells. A heavy fog settled over the valley before dawn.
She reads the last page of every novel first. The plumber arrived two hours later than promised.
I have never tasted anything as sour as this. The shepherd whistled and the dogs came running.
There was a long queue outside the new bookshop. He kept the engine running while she paid.
The statue lost its nose in a storm long ago. Could we meet in front of the theatre at eight?
The farmer sells eggs and honey at the roadside. Three of the seven windows had been left open.
The astronauts trained in a pool for many weeks. Put the blanket over the chair so that it dries.
The actor forgot his lines and began to sing. My sister collects stamps with pictures of birds.
A warm wind from the south melted the last snow. The waiter balanced six plates on one arm.
The path ends at a gate with a rusty lock. We stayed in a hotel above a noisy bakery.
He explained the rules of the game very slowly. The children whispered so as not to wake the baby.
I would like two tickets for the evening show. The tower leans a little more every year.
Her suitcase was full of seashells and sand. The factory whistle could be heard across the valley.
Birds are nesting in the chimney once again. The barber told the same joke to every customer.
They crossed the desert with only two camels. A letter without a stamp lay on the doormat.
The orchestra tuned while the audience sat down. You may sit wherever you like except by the door.
The lake is so clear that you can see the bottom. He sold his car and bought a sailing boat.
The nurse drew the curtains and dimmed the light. We have run out of paper for the printer.
My father hums whenever he is thinking hard. The wheel came off as we turned into the drive.
A row of poplars marks the edge of the field. The editor crossed out half of the first chapter.
She found a silver coin between the floorboards. The bells of the goats woke us before sunrise.
Do not forget to water the plants on Thursday. The pilot announced that we would land early.
The cellar stays cool even in the hottest summer. They sang an old song about a lazy miller.
He writes his shopping list on the back of his hand. The mirror in the hall makes everyone look taller.
The circus left nothing behind but a ring of sawdust. I met her at a wedding in the rain.
The village has one shop and eleven chimneys. A beetle climbed slowly up the garden wall.
The students waited nervously outside the office. Bring the chairs inside before it gets dark.
The fisherman mended his net with a wooden needle. Our flight was cancelled because of the volcano.
She poured the tea without spilling a drop. The mayor opened the new playground with a slide.
Everyone in the room turned to look at the door. The path along the cliff is closed in winter.
I dreamed that all of the trees had moved. The hammer is in the second drawer on the right.
The baker's wife plays the trumpet on Sundays. He wore two different socks to the interview.
The storm uprooted a chestnut tree near the school. Whose turn is it to wash the dishes tonight?
A narrow boat drifted past without anyone on board. The professor lost his glasses in his own beard.
We could see the lights of the city from the hill. The roof leaks whenever the wind comes from the west.
The butcher wrapped the sausages in brown paper. She can name every star in the northern sky.
The message was hidden under the bottom of the cup. My nephew is afraid of balloons and clowns.
The trail is steep, but the view is worth it. They served the fish with rice and green beans.
The carpet was too large for such a narrow room. An apple fell on the tin roof with a bang.
He answered the telephone in a sleepy voice. The seeds must be kept dry until the spring.
The goalkeeper jumped, but the ball went over the bar. I left my gloves on the bench in the park.
Our cousins live on the other side of the canal. The lion yawned and rolled over in the sun.
The printer has been making a strange noise all day. She folded the newspaper into a paper hat.
The road was blocked by a herd of patient cows. What would you do with a whole day off?
The walls of the castle are thicker than a bus. He carved a spoon out of a piece of cherry wood.
The mountain disappears behind clouds every afternoon. We ate our sandwiches on the steps of the town hall.
A drop of ink fell on the unsigned contract. The swimming pool is being cleaned this week.
The guide carried a yellow flag above the crowd. Her handwriting leans to the left when she hurries.
The sailors traded salt for oranges and figs. I will call you as soon as the train arrives.
The hens refuse to leave the barn when it snows. A piece of the puzzle is missing in the corner.
The photographer asked them to stand closer together. He bought a second-hand coat with deep pockets.
The tide comes in faster than you would think. My aunt makes the best plum cake in the county.
They met on the night train to the capital. The cupboard smelled of cinnamon and old wood.
Please speak up, the line is very bad today. The potter turned the wheel with her left foot.
The island has no cars and only one policeman. We lit a fire and dried our clothes beside it.
The drummer was late, so they started without him. A gust of wind slammed the heavy door.
The squirrel hid its nuts in our flower pots. She learned to sail before she could swim.
The library card expires at the end of June. Their tent collapsed in the middle of the night.
The cook tasted the sauce and shook his head. I counted eleven swans under the railway bridge.
The new road will save us about ten minutes. He keeps a spare key under the third stone.
The windows of the greenhouse were white with frost. Who left the gate open for the horses?
The answer is written on the back of the card. A small crowd gathered around the street musician.
The shop sells nothing but brushes and brooms. We planted the roses where the old shed stood.
The winner received a basket of ripe pears. My pencil broke in the middle of the sentence.
The hikers were glad to see smoke from the cabin. She has worked at the observatory for twenty years.
The elevator stopped between two floors for an hour. Every house in that lane has a blue door.
The bear sniffed at the tent and walked away. He drank his coffee standing at the counter.
The speech was short, clear and surprisingly funny. Could you help me move this cupboard to the left?
The meadow behind the mill floods every March. They built their house from stones of the old wall.
The thermometer fell below zero before midnight. A retired sailor teaches knots at our school.
The wallpaper had a pattern of ferns and foxes. I prefer the window seat on long journeys.
The poet lived above a shop that repaired umbrellas. Rain drummed on the roof of the caravan all night.
The violinist broke a string but played on. We are expecting eight guests for dinner on Friday.
The shadows grew longer as we reached the gate. He found the recipe in his mother's handwriting.
The boat rocked gently against the wooden pier. My alarm clock is ten minutes fast on purpose.
The teacher praised the drawing of the whale. There are more sheep than people in this valley.
The old man feeds the sparrows at exactly four. She stitched the torn sail with thick thread.
The mail arrives by boat twice a week in summer. A copper kettle hung above the open fire.
The crowd fell silent when the curtain rose. I bought these boots at a market in the north.
The baby slept through the fireworks without a sound. They share one umbrella on the way to school.
The museum guard knew a story about each painting. It will be colder tomorrow, with some snow in the hills.
The bicycle bell startled a pigeon on the path. We have to change trains at the next station.
The ladder was one step too short for the job. He polished the brass until he could see his face.
The picnic ended when the wasps found the lemonade. Our teacher of history never used a book.
The jeweller looked at the ring through a lens. Leave the lid half open so that the steam escapes.
The paint on the bench was not quite dry. She sent me a postcard with a picture of a volcano.
The horse knew the way home in the dark. A loud crack echoed from the frozen pond.
The workers finished the tunnel a month early. I always forget which switch is for the porch.
The tent was warm, dry and far too small. They danced in the square until the music stopped.
The dentist hums quietly while he works. My cousin found a fossil in the gravel of our drive.
The clouds over the bay turned orange and pink. He signed the visitors' book with a green pen.
The last house in the village is a forge. We bought a dozen oranges and a bag of almonds.
The inspector looked under every seat in the carriage. The reeds along the shore rustled in the breeze.
A spider had spun its web across the keyhole. She played the same note again and again.
The harvest was late, but the barns were full. Why is there a ladder leaning against the clock tower?
The snowman lost his hat during the night. The old radio only receives a single station.
He built a tiny railway in his cellar. The market is busiest on the morning before a holiday.
The lighthouse has been empty since the keeper retired. She keeps a jar of buttons on the window sill.
Have you ever seen a hare asleep in the grass? The rope was wet, heavy and covered in weed.
We took the wrong exit and ended up at a farm. A dozen yellow kites danced above the dunes.
The grocer weighed the cherries on an ancient scale. He learned Portuguese from a sailor in Lisbon.
The train to the airport stops at every station. My niece counts the steps whenever she climbs them.
The vase was glued together from twenty pieces. I can hear the sea when the motorway is quiet.
The apprentice swept the floor and locked the workshop. Two magpies argued on the ridge of the roof.
Nobody could explain why the fountain had run dry. The blue train is faster, but the red one is cheaper.
They warmed their hands around mugs of hot cider. The tortoise took all morning to reach the lettuce.
An envelope with my name on it lay under the door. The miller's donkey refused to cross the stream.
She waited until the applause had died away. The cafe at the corner has the best view of the square.
Our tent pegs are bent, so we will use stones. The violin case held nothing but a sandwich.
How far is it from here to the nearest petrol station? The icicles on the gutter began to drip at noon.
He has photographed every door in the old quarter. The choir practises in the gymnasium on Wednesdays.
A strong current pulled the swimmer towards the rocks. The window cleaner waved at us from his rope.
I will be back before the bread comes out of the oven. The beavers felled a birch across our footpath.
The lawyer spoke for an hour without looking at her notes. We were the only people in the cinema.
The tractor pulled the bus out of the ditch. Someone has carved initials into the wooden table.
The herring are sold straight from the boat. He stirred the paint with an old broom handle.
The gallery shows drawings by children from nine countries. Try to arrive a little before the doors open.
The stove was still warm when we came home. A train of ants marched across the picnic blanket.
The surgeon plays table tennis during her lunch break. Our cellar is full of bottles without labels.
The scarecrow wears my grandfather's wedding suit. It is quicker to walk than to wait for the tram.
The geologist tapped the cliff with a small hammer. She painted the boat the colour of ripe lemons.
The children followed the tracks as far as the brook. I need a new battery for the doorbell.
The wedding guests threw rice and paper flowers. His desk is buried under maps and timetables.
A cold draught came from somewhere behind the shelves. The bridge is closed to lorries until further notice.
We traded our skis for a pair of sledges. The canary stopped singing when the guests walked in.
The old dictionary has a chapter about sea monsters. Who would like the last slice of the pie?
The glass blower turned the glowing bubble slowly. They named the calf after their favourite teacher.
The runway lights shone through the drizzle. He put a ladder against the tree to rescue the kite.
My suitcase went to Madrid while I flew to Rome. The gravel crunched beneath the wheels of the cart.
The pianist wears gloves with the fingertips cut off. A heron stood in the shallow water like a statue.
The blacksmith let each of us strike the iron once. She can tell a mushroom's name by its smell.
The last ferry was full, so we slept at the pier. The curtains are too short for such tall windows.
The beekeeper moved calmly among the open hives. Our street was flooded after the heavy thunderstorm.
I read the whole story aloud without a pause. The weathercock on the chapel points to the east.
The sculptor wrapped the clay in a damp cloth. Nobody goes into that forest after dark.
The bus shelter smells of rain and fresh paint. Her brother juggles oranges to amuse the customers.
The ticket machine accepts nothing but coins. The pumpkin was heavier than the boy who grew it.
We followed the smell of pancakes up the stairs. The judge's robe was caught in the revolving door.
A kingfisher dived into the pool below the weir. My watch runs slow, but only in the mountains.
She stacked the firewood against the southern wall. The tourists photographed everything except the view.
"""

SENTENCES: tuple[str, ...] = tuple(re.split(r"(?<=[.?!])\s+", _TEXT.strip()))
"""Distinct English sentences, of about two to four seconds each."""
